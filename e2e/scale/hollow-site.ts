/**
 * One hollow site: the agent as it is, on a platform in memory that outlives it as engines outlive an agent.
 *
 * Guarantees: key, certificate, state folder, TLS connection and every line of the agent's code are real;
 * only the driver's platform is not. What runs there is counted over all lives of the agent.
 */
import { cp, rm } from 'node:fs/promises';
import { agentFlags, runAgent } from '@cloudlet/agent/testing';
import type { Plan } from '@cloudlet/crds';
import type { Driver } from '@cloudlet/drivers';
import { createFakeDriver, type FakeDriver, FakePlatform } from '@cloudlet/drivers/fake';
import {
  describeError,
  type LogFields,
  type Logger,
  type LogLevel,
  parseFlags,
  systemClock,
} from '@cloudlet/runtime/base';
import {
  type HollowSnapshot,
  machineMs,
  type SiteAction,
  type SiteSetup,
  type WorkerEvent,
  type WorkerSetup,
} from './hollow-messages.ts';
import { type PlatformJournal, withoutTimers } from './platform-journal.ts';

export interface HollowSiteOptions {
  readonly setup: SiteSetup;
  readonly platform: Pick<WorkerSetup, 'callMs' | 'startMs' | 'nodes'>;
  /** Least level that goes to the log of the process. */
  readonly logLevel: 'info' | 'warn';
  readonly proxyUrl: string | undefined;
  readonly seed: number;
  /** What the platform did in the site's processes before this one, and does in this. */
  readonly journal: PlatformJournal | undefined;
  /** Told of links always; of plans and changes while `isWatched`. */
  readonly tell: (event: WorkerEvent) => void;
  readonly isWatched: () => boolean;
}

interface Life {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

/** What is heard of an agent while it runs. */
interface Follow {
  readonly linked?: (isConnected: boolean) => void;
  readonly driver?: (driver: FakeDriver) => void;
  readonly ended?: (reason: string) => void;
}

const overText = 'the agent is stopped';
const startAgainMs = 1_000;
const copyTries = 20;

export class HollowSite {
  readonly #options: HollowSiteOptions;
  readonly #platform: FakePlatform;
  readonly #calls = { ensure: 0, remove: 0 };
  /** Highest sequence that the driver was called with, by instance. */
  readonly #planned = new Map<string, number>();
  #life: Life | undefined;
  #twin:
    | { readonly life: Life; readonly own: FakePlatform; readonly before: readonly string[] }
    | undefined;
  #driver: FakeDriver | undefined;
  #leads = true;
  #isConnected = false;
  #ended: string | undefined;

  constructor(options: HollowSiteOptions) {
    this.#options = options;
    const { platform, seed, journal } = options;
    const before = journal?.before ?? [];
    this.#platform = new FakePlatform({ ...platform, clock: systemClock, seed, before });
    journal?.follow(this.#platform);
    const { name } = options.setup;
    this.#platform.onChange((id) => {
      if (id !== undefined && options.isWatched())
        options.tell({ kind: 'Changed', site: name, id, at: machineMs() });
    });
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get hasEnded(): boolean {
    return this.#ended !== undefined;
  }

  start(): void {
    if (this.#life) return;
    this.#ended = undefined;
    const { setup } = this.#options;
    const follow = {
      linked: (isConnected: boolean) => this.#linked(isConnected),
      driver: (driver: FakeDriver) => void (this.#driver = driver),
      ended: (reason: string) => this.#endedItself(reason),
    };
    this.#life = this.#launch(setup.folder, follow);
  }

  /** An agent that cannot start, as on a disk that is read-only, is started again as a service is. */
  #endedItself(reason: string): void {
    const life = this.#life;
    this.#ended = reason;
    this.#linked(false);
    systemClock.after(startAgainMs, () => {
      if (!life || this.#life !== life || life.stop.signal.aborted) return;
      this.#life = undefined;
      this.start();
    });
  }

  async stop(): Promise<void> {
    const life = this.#life;
    life?.stop.abort(new Error(overText));
    await life?.ended;
    this.#life = undefined;
    this.#isConnected = false;
  }

  /**
   * A second agent on a platform of its own that has what the first has, as a cloned machine.
   * @returns what it had removed there when it ended, by id.
   */
  async twin(on: boolean): Promise<readonly string[]> {
    const folder = `${this.#options.setup.folder}-twin`;
    const twin = this.#twin;
    this.#twin = undefined;
    twin?.life.stop.abort(new Error(overText));
    await twin?.life.ended;
    await rm(folder, { recursive: true, force: true });
    if (!on) return (twin?.before ?? []).filter((id) => !twin?.own.instances.has(id));
    await copyOfLive(this.#options.setup.folder, folder);
    const { platform, seed } = this.#options;
    const before = [...this.#platform.instances.values()].map(withoutTimers);
    const own = new FakePlatform({ ...platform, clock: systemClock, seed, before });
    const life = this.#launch(folder, {}, own);
    this.#twin = { life, own, before: before.map(({ id }) => id) };
    return [];
  }

  #launch(folder: string, follow: Follow, platform = this.#platform): Life {
    const { setup, proxyUrl } = this.#options;
    const argv = [
      ...['--state-dir', folder, '--join-file', setup.joinFile, '--driver', 'fake'],
      ...['--member', setup.name, '--health-address', 'off'],
    ];
    const stop = new AbortController();
    const ended = runAgent({
      flags: parseFlags(agentFlags, argv).flags,
      proxy: proxyUrl === undefined ? undefined : { url: proxyUrl },
      logger: this.#logger(platform === this.#platform ? {} : { cloned: true }, follow),
      signal: stop.signal,
      load: async () => this.#makeDriver(follow, platform),
    }).then(
      () => undefined,
      (error: unknown) => {
        const reason = describeError(error);
        follow.ended?.(reason);
        process.stderr.write(`${setup.name}: the agent ended: ${reason}\n`);
      },
    );
    return { stop, ended };
  }

  act(action: SiteAction): void {
    const platform = this.#platform;
    switch (action.kind) {
      case 'LoseTasks':
        return platform.loseTasks(action.id);
      case 'Vanish':
        return platform.vanish(action.id);
      case 'FailEnsures':
        return this.#driver?.failNextEnsures(action.count);
      case 'FailRemoves':
        return this.#driver?.failNextRemoves(action.count);
      case 'Reachable':
        platform.reachable = action.value;
        return;
      case 'Quorum':
        platform.quorum = action.value;
        return;
      case 'Slowness':
        platform.slowness = action.factor;
        return;
      case 'Leads':
        this.#leads = action.value;
        return this.#driver?.setLeads(action.value);
    }
  }

  snapshot(): HollowSnapshot {
    return {
      name: this.#options.setup.name,
      running: this.#life !== undefined,
      connected: this.#isConnected,
      started: this.#platform.started,
      changes: this.#platform.changes,
      calls: { ...this.#calls },
      ...(this.#ended === undefined ? {} : { ended: this.#ended }),
      instances: [...this.#platform.instances.values()].map(({ id, name, sequence, tasks }) => ({
        id,
        name,
        sequence,
        tasks: tasks.map((task) => ({ name: task.name, state: task.state, since: task.since })),
      })),
    };
  }

  counts() {
    const { started, changes, instances } = this.#platform;
    return { started, changes, instances: instances.size, calls: this.#calls };
  }

  /** The fake driver on a platform; calls are counted, and a plan's first arrival is told. */
  #makeDriver(follow: Follow, platform: FakePlatform): Driver {
    const driver = createFakeDriver({
      platform,
      clock: systemClock,
      leads: this.#leads,
    });
    follow.driver?.(driver);
    return {
      platform: driver.platform,
      parallelism: driver.parallelism,
      ensure: (plan, checkpoint, signal) => {
        this.#calls.ensure++;
        this.#arrived(plan);
        return driver.ensure(plan, checkpoint, signal);
      },
      remove: (removal, checkpoint, signal) => {
        this.#calls.remove++;
        return driver.remove(removal, checkpoint, signal);
      },
      observe: (signal) => driver.observe(signal),
      openSession: (target, signal) => driver.openSession(target, signal),
      publish: (plans) => driver.publish?.(plans),
      close: () => driver.close(),
    };
  }

  #arrived({ id, sequence }: Plan): void {
    if (!this.#options.isWatched() || (this.#planned.get(id) ?? -1) >= sequence) return;
    this.#planned.set(id, sequence);
    const { name } = this.#options.setup;
    this.#options.tell({ kind: 'Planned', site: name, id, sequence, at: machineMs() });
  }

  /** The agent's log says when its tunnel is up; its warnings go to the process's log. */
  #logger(fields: LogFields, follow: Follow): Logger {
    const { logLevel, setup } = this.#options;
    const levels: readonly LogLevel[] = ['error', 'warn', logLevel];
    const log = (level: LogLevel, message: string, more: LogFields = {}): void => {
      if (message === 'connected' && 'way' in more) follow.linked?.(true);
      if (message === 'disconnected' && 'kind' in more) follow.linked?.(false);
      if (!levels.includes(level)) return;
      const time = new Date().toISOString();
      process.stderr.write(`${time} ${setup.name}: ${message} ${shown({ ...fields, ...more })}\n`);
    };
    return {
      log,
      debug: () => undefined,
      info: (message, more) => log('info', message, more),
      warn: (message, more) => log('warn', message, more),
      error: (message, more) => log('error', message, more),
      with: (more) => this.#logger({ ...fields, ...more }, follow),
    };
  }

  #linked(isConnected: boolean): void {
    if (this.#isConnected === isConnected) return;
    this.#isConnected = isConnected;
    const kind = isConnected ? 'Connected' : 'Disconnected';
    this.#options.tell({ kind, site: this.#options.setup.name, at: machineMs() });
  }
}

const shown = (fields: LogFields): string =>
  JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? describeError(value) : value,
  );

/** What comes and goes while it is copied (files are written beside their place) begins the copy anew. */
async function copyOfLive(from: string, to: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await cp(from, to, { recursive: true });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || tries === copyTries) throw error;
      await rm(to, { recursive: true, force: true });
    }
  }
}
