/**
 * A driver without a platform: the contract in memory, with the timing of a real one and failures on demand.
 *
 * Guarantees: several fakes may share one platform, as the members of a site do; with the same seed and
 * clock the same calls take the same times; `ensure` reports its steps with a checkpoint, as long jobs do.
 */
import { DriverError, systemClock, type Clock } from '@cloudlet/runtime/base';
import type { Plan, Removal } from '@cloudlet/crds';
import type {
  Checkpoint,
  Driver,
  DriverSession,
  Observation,
  SessionTarget,
  StepResult,
} from '../driver.ts';
import { ObservationFeed } from '../feed.ts';
import { FakePlatform, stepsToMake, type FakePlatformOptions } from './platform.ts';
import { fakeSession } from './sessions.ts';

export interface FakeDriverOptions extends Omit<FakePlatformOptions, 'clock'> {
  readonly clock?: Clock;
  /** Shares the platform of another fake; the options of timing are then that platform's. */
  readonly platform?: FakePlatform;
  /** Whether this member leads. @default true */
  readonly leads?: boolean;
  /** @default 8 */
  readonly parallelism?: number;
  /** Milliseconds between full snapshots. @default 60_000 */
  readonly fullEveryMs?: number;
}

export interface FakeDriver extends Driver {
  readonly fake: FakePlatform;
  /** The plans that were last published. */
  readonly published: readonly Plan[];
  /** Calls of ensure and remove so far. */
  readonly calls: { ensure: number; remove: number };
  setLeads(leads: boolean): void;
  failNextEnsures(count: number, error?: Error): void;
  failNextRemoves(count: number, error?: Error): void;
  /** Ends every observation that runs with an error, as a lost connection does. */
  breakObservation(error?: Error): void;
}

const checkpointVersion = 'fake-1';

export function createFakeDriver(options: FakeDriverOptions = {}): FakeDriver {
  return new InMemoryDriver(options);
}

class InMemoryDriver implements FakeDriver {
  readonly platform = 'Fake';
  readonly parallelism: number;
  readonly fake: FakePlatform;
  readonly calls = { ensure: 0, remove: 0 };
  published: readonly Plan[] = [];
  #leads: boolean;
  #fullEveryMs: number;
  #ensureFailures: Error[] = [];
  #removeFailures: Error[] = [];
  #feeds = new Set<ObservationFeed>();

  constructor(options: FakeDriverOptions) {
    const clock = options.clock ?? systemClock;
    this.fake = options.platform ?? new FakePlatform({ ...options, clock });
    this.parallelism = options.parallelism ?? 8;
    this.#leads = options.leads ?? true;
    this.#fullEveryMs = options.fullEveryMs ?? 60_000;
  }

  async ensure(
    plan: Plan,
    _checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult> {
    this.calls.ensure++;
    await this.fake.call(signal);
    const failure = this.#ensureFailures.shift();
    if (failure) throw failure;
    if (plan.suspend) return { kind: 'Done' };
    const instance = this.fake.advance(plan);
    const running = instance.tasks.filter((task) => task.state === 'running').length;
    const isWhole = instance.sequence === plan.sequence && running === instance.replicas;
    if (isWhole) return { kind: 'Done' };
    const step = Math.min(instance.steps, stepsToMake) + (instance.sequence ? 1 : 0);
    const failed = instance.tasks.find((task) => task.state === 'failed');
    if (failed) throw new DriverError('DeployFailed', `${failed.name}: ${failed.error}`);
    return {
      kind: 'Working',
      progress: { task: taskNames[step] ?? 'starting', step, of: stepsToMake + 2 },
      againMs: instance.sequence ? 50 : 1,
      checkpoint: { version: checkpointVersion, data: { step } },
    };
  }

  async remove(
    removal: Removal,
    _checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult> {
    this.calls.remove++;
    await this.fake.call(signal);
    const failure = this.#removeFailures.shift();
    if (failure) throw failure;
    this.fake.remove(removal.id, removal.deleteVolumes ?? false);
    return { kind: 'Done' };
  }

  async *observe(signal: AbortSignal): AsyncIterable<Observation> {
    const feed = new ObservationFeed();
    const stop = this.fake.onChange((id) => feed.offer(this.#observation(id)));
    this.#feeds.add(feed);
    const full = (): void => {
      feed.offer(this.#snapshot());
      timer = this.fake.clock.after(this.#fullEveryMs, full);
    };
    let timer = this.fake.clock.after(0, () => undefined);
    full();
    try {
      yield* feed.read(signal);
    } finally {
      timer.cancel();
      stop();
      this.#feeds.delete(feed);
    }
  }

  async openSession(target: SessionTarget, signal: AbortSignal): Promise<DriverSession> {
    const instance = target.instance && this.fake.instances.get(target.instance);
    if (target.kind !== 'shell' && !instance)
      throw new DriverError('TargetNotFound', `no instance ${target.instance ?? '(none named)'}`);
    const isThere = instance && instance.tasks.some((task) => task.name === target.target);
    if (instance && target.target !== undefined && !isThere)
      throw new DriverError('TargetNotFound', `no task ${target.target} in ${instance.name}`);
    return fakeSession(target, this.fake.clock, signal);
  }

  publish(plans: readonly Plan[]): void {
    this.published = plans;
  }

  async close(): Promise<void> {
    for (const feed of this.#feeds) feed.end();
  }

  setLeads(leads: boolean): void {
    this.#leads = leads;
    for (const feed of this.#feeds) feed.offer(this.#observation(undefined));
  }

  failNextEnsures(
    count: number,
    error: Error = new DriverError('DeployFailed', 'on demand'),
  ): void {
    this.#ensureFailures = Array.from({ length: count }, () => error);
  }

  failNextRemoves(
    count: number,
    error: Error = new DriverError('RemoveFailed', 'on demand'),
  ): void {
    this.#removeFailures = Array.from({ length: count }, () => error);
  }

  breakObservation(error: Error = new DriverError('EngineUnreachable', 'stream broke')): void {
    for (const feed of this.#feeds) feed.fail(error);
  }

  #observation(id: string | undefined): Observation {
    if (id === undefined) return { kind: 'Site', site: this.fake.observeSite(this.#leads) };
    const instance = this.fake.instances.get(id);
    return instance
      ? { kind: 'Instance', instance: this.fake.observeInstance(instance) }
      : { kind: 'Gone', id };
  }

  #snapshot(): Observation {
    return {
      kind: 'Snapshot',
      site: this.fake.observeSite(this.#leads),
      instances: [...this.fake.instances.values()].map((instance) =>
        this.fake.observeInstance(instance),
      ),
    };
  }
}

const taskNames = ['network', 'volumes', 'services', 'tasks'];
