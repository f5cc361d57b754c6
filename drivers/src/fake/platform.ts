/**
 * A platform in memory: instances, their tasks and the time these take, for tests of agents and of scale.
 *
 * Guarantees: keeps to the contract's rules of what restarts (a changed image or environment does, a changed
 * number of replicas or sequence does not); several drivers on one platform see the same; everything takes
 * the time that was drawn from the seed, on the injected clock; failures come only on demand.
 */
import { DriverError, type Clock, type Random, type Timer } from '@cloudlet/runtime/base';
import { appInstReasons, type Plan, type SiteNode, type TaskStatus } from '@cloudlet/crds';
import { canonicalJson } from '@cloudlet/runtime/base';
import type { InstanceObservation, SiteObservation, Verdict } from '../driver.ts';
import { draw, seededRandom, type Span } from './random.ts';

export interface FakePlatformOptions {
  readonly clock: Clock;
  /** @default 1 */
  readonly seed?: number;
  /** Time of one call. @default [5, 20] */
  readonly callMs?: Span;
  /** Time from a task's creation until it runs. @default [50, 200] */
  readonly startMs?: Span;
  /** @default 3, all managers */
  readonly nodes?: number;
  readonly architectures?: readonly string[];
  /** What becomes of an image; `Missing` cannot be pulled, `Crashes` never gets to run. @default Runs */
  readonly imageFate?: (image: string) => 'Runs' | 'Missing' | 'Crashes';
  /** What `instances` held when the process that had the platform ended: it runs on, nothing starts anew. */
  readonly before?: readonly FakeInstance[];
}

export interface FakeTask {
  readonly name: string;
  readonly node: string;
  readonly slot: number;
  state: 'starting' | 'running' | 'failed';
  since: number;
  restarts: number;
  error?: string;
  timer?: Timer;
}

export interface FakeInstance {
  readonly id: string;
  readonly name: string;
  sequence: number;
  /** What its tasks were made of. */
  content: string;
  image: string;
  replicas: number;
  poweredOff: boolean;
  /** Steps of its making that are done. */
  steps: number;
  tasks: FakeTask[];
}

/** Steps of making an instance before its tasks are made; each is a side effect behind a checkpoint. */
export const stepsToMake = 2;

export class FakePlatform {
  readonly clock: Clock;
  readonly random: Random;
  readonly instances = new Map<string, FakeInstance>();
  /** Volumes by instance id; they outlive an instance unless they are to be deleted. */
  readonly volumes = new Set<string>();
  /** Tasks started since the platform was made: what a test compares to see that nothing restarted. */
  started = 0;
  /** Side effects since the platform was made. */
  changes = 0;
  #options: FakePlatformOptions;
  #listeners = new Set<(id: string | undefined) => void>();
  #quorum = true;
  #reachable = true;
  #slowness = 1;

  constructor(options: FakePlatformOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.random = seededRandom(options.seed ?? 1);
    for (const instance of options.before ?? []) this.#takeOver(instance);
  }

  /** Calls `listener` with the id of each instance that changed, or with nothing when the site did. */
  onChange(listener: (id: string | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  // Failures on demand.

  set quorum(held: boolean) {
    this.#quorum = held;
    this.#changed(undefined);
  }

  set reachable(reachable: boolean) {
    this.#reachable = reachable;
    this.#changed(undefined);
  }

  /** Calls and starts take so many times as long. */
  set slowness(factor: number) {
    this.#slowness = factor;
  }

  /** Kills the tasks of an instance; the platform starts them again. */
  loseTasks(id: string): void {
    const instance = this.instances.get(id);
    if (!instance) return;
    for (const task of instance.tasks) {
      task.restarts++;
      this.#start(instance, task, 'task was lost');
    }
    this.#changed(id);
  }

  /** Somebody removed the instance behind the driver's back. */
  vanish(id: string): void {
    this.#drop(id);
  }

  // What drivers call.

  /** Takes the time of a call, then fails when the platform cannot act. */
  async call(signal: AbortSignal): Promise<void> {
    await this.clock.sleep(this.#time(this.#options.callMs ?? [5, 20]), signal);
    if (!this.#reachable) throw new DriverError('EngineUnreachable', 'the engine does not answer');
    if (!this.#quorum) throw new DriverError('QuorumLost', 'the swarm has no leader');
  }

  /** Makes the next part of an instance, or brings it to what the plan asks for. */
  advance(plan: Plan): FakeInstance {
    const instance = this.instances.get(plan.id) ?? this.#create(plan);
    if (instance.steps < stepsToMake) {
      instance.steps++;
      this.changes++;
      this.#changed(plan.id);
      return instance;
    }
    this.#bring(instance, plan);
    return instance;
  }

  remove(id: string, deleteVolumes: boolean): void {
    this.#drop(id);
    if (deleteVolumes && this.volumes.delete(id)) this.changes++;
  }

  observeInstance(instance: FakeInstance): InstanceObservation {
    const tasks = instance.tasks.map((task) => this.#taskStatus(instance, task));
    return {
      id: instance.id,
      name: instance.name,
      sequence: instance.sequence,
      deployed: deployedOf(instance),
      healthy: healthyOf(instance),
      tasks,
    };
  }

  observeSite(leads: boolean): SiteObservation {
    const nodes = this.#nodes();
    const quorum: Verdict = this.#quorum
      ? { status: 'True', reason: 'QuorumHeld', message: `${nodes.length} managers` }
      : { status: 'False', reason: 'QuorumLost', message: 'the swarm has no leader' };
    const platform: Verdict = this.#reachable
      ? { status: 'True', reason: 'Serving', message: 'the platform serves' }
      : { status: 'False', reason: 'EngineUnreachable', message: 'the engine does not answer' };
    return {
      platform: this.#reachable && !this.#quorum ? { ...quorum } : platform,
      quorum,
      platformVersion: 'fake',
      leads,
      nodes,
      addresses: ['192.0.2.1'],
      architectures: this.#options.architectures ?? ['linux/amd64'],
      capacity: { cpuMillis: 4000 * nodes.length, memoryBytes: 4 * 2 ** 30 * nodes.length },
    };
  }

  #create(plan: Plan): FakeInstance {
    const instance: FakeInstance = {
      id: plan.id,
      name: `${plan.object.name}-${plan.id.slice(0, 5)}`,
      sequence: 0,
      content: '',
      image: '',
      replicas: 0,
      poweredOff: false,
      steps: 0,
      tasks: [],
    };
    this.instances.set(plan.id, instance);
    this.volumes.add(plan.id);
    return instance;
  }

  #takeOver(before: FakeInstance): void {
    const instance = { ...before, tasks: before.tasks.map((task) => ({ ...task })) };
    this.instances.set(instance.id, instance);
    this.volumes.add(instance.id);
    for (const task of instance.tasks) if (task.state === 'starting') this.#start(instance, task);
  }

  #bring(instance: FakeInstance, plan: Plan): void {
    const content = canonicalJson([plan.workload, plan.env, plan.secretEnv, plan.files]);
    const image = plan.workload.kind === 'Image' ? plan.workload.image : 'compose';
    if (this.#options.imageFate?.(image) === 'Missing') {
      throw new DriverError(appInstReasons.ImageNotFound, `${image}: no such image`, {
        permanent: true,
      });
    }
    const replicas = plan.powerState === 'Off' ? 0 : (plan.replicas ?? 1);
    if (content !== instance.content) this.#stopFrom(instance, 0);
    const isSame = content === instance.content && replicas === instance.tasks.length;
    Object.assign(instance, {
      content,
      image,
      replicas,
      poweredOff: plan.powerState === 'Off',
    });
    if (isSame && instance.sequence === plan.sequence) return;
    instance.sequence = plan.sequence;
    this.changes++;
    this.#stopFrom(instance, replicas);
    for (let slot = instance.tasks.length + 1; slot <= replicas; slot++) this.#add(instance, slot);
    this.#changed(instance.id);
  }

  #add(instance: FakeInstance, slot: number): void {
    const node = this.#nodes()[(slot - 1) % this.#nodes().length]?.name ?? 'node-1';
    const name = `${instance.name}_app.${slot}`;
    const task: FakeTask = { name, node, slot, state: 'starting', since: 0, restarts: 0 };
    instance.tasks.push(task);
    this.#start(instance, task);
  }

  #start(instance: FakeInstance, task: FakeTask, error?: string): void {
    task.timer?.cancel();
    task.state = 'starting';
    task.since = this.clock.now();
    if (error !== undefined) task.error = error;
    task.timer = this.clock.after(this.#time(this.#options.startMs ?? [50, 200]), () => {
      const crashes = this.#options.imageFate?.(instance.image) === 'Crashes';
      task.state = crashes ? 'failed' : 'running';
      if (crashes) task.error = 'task: non-zero exit (1)';
      task.since = this.clock.now();
      this.started++;
      this.#changed(instance.id);
    });
  }

  #stopFrom(instance: FakeInstance, count: number): void {
    for (const task of instance.tasks.splice(count)) task.timer?.cancel();
  }

  #drop(id: string): void {
    const instance = this.instances.get(id);
    if (!instance) return;
    this.#stopFrom(instance, 0);
    this.instances.delete(id);
    this.changes++;
    this.#changed(id);
  }

  #changed(id: string | undefined): void {
    for (const listener of this.#listeners) listener(id);
  }

  #time(span: Span): number {
    return draw(span, this.random) * this.#slowness;
  }

  #nodes(): SiteNode[] {
    return Array.from({ length: this.#options.nodes ?? 3 }, (_, index) => ({
      name: `node-${index + 1}`,
      role: 'Manager' as const,
      availability: 'Active' as const,
      state: 'Ready' as const,
      leader: this.#quorum && index === 0,
      reachable: this.#quorum || index === 0,
      architecture: 'linux/amd64',
      cpuMillis: 4000,
      memoryBytes: 4 * 2 ** 30,
    }));
  }

  #taskStatus(instance: FakeInstance, task: FakeTask): TaskStatus {
    return {
      name: task.name,
      service: `${instance.name}_app`,
      node: task.node,
      state: task.state,
      image: instance.image,
      restarts: task.restarts,
      since: new Date(task.since).toISOString(),
      ...(task.error === undefined ? {} : { error: task.error }),
    };
  }
}

function deployedOf(instance: FakeInstance): Verdict {
  const running = instance.tasks.filter((task) => task.state === 'running').length;
  const failed = instance.tasks.find((task) => task.state === 'failed');
  if (failed)
    return { status: 'False', reason: appInstReasons.DeployFailed, message: failed.error ?? '' };
  const isWhole = instance.sequence > 0 && running === instance.replicas;
  return isWhole
    ? { status: 'True', reason: appInstReasons.Deployed, message: 'as planned' }
    : {
        status: 'False',
        reason: appInstReasons.Progressing,
        message: `${running} of ${instance.replicas} tasks run`,
      };
}

function healthyOf(instance: FakeInstance): Verdict {
  const running = instance.tasks.filter((task) => task.state === 'running').length;
  if (instance.poweredOff)
    return { status: 'False', reason: appInstReasons.PoweredOff, message: 'powered off' };
  if (running === instance.replicas && instance.sequence > 0)
    return { status: 'True', reason: appInstReasons.Healthy, message: `${running} tasks run` };
  const message = `${running} of ${instance.replicas} tasks run`;
  return instance.tasks.some((task) => task.state === 'failed')
    ? { status: 'False', reason: appInstReasons.Unhealthy, message }
    : { status: 'Unknown', reason: appInstReasons.Starting, message };
}
