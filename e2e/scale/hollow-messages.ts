/** What the bed says to a process of hollow sites, and what that says back. Structured clones, no functions. */

/** One site, ready to be started in a worker. */
export interface SiteSetup {
  readonly name: string;
  /** The agent's state folder. */
  readonly folder: string;
  readonly joinFile: string;
  /** Address that its connections come from, one of 127.0.0.0/8. */
  readonly from: string;
}

export interface WorkerSetup {
  /** Whether connections pass a relay of this process, so that they can be cut; else the agent dials itself. */
  readonly relay: boolean;
  readonly callMs: readonly [number, number];
  readonly startMs: readonly [number, number];
  readonly nodes: number;
  /** Least level of the agents' logs that goes to the log of the process. @default 'warn' */
  readonly logLevel?: 'info' | 'warn';
  /** Folder for a journal of each platform, from which the next process of the site takes it over. */
  readonly journals?: string;
}

/** Where connections to an address really go: both are `host:port`. */
export type Routes = Readonly<Record<string, string>>;

/**
 * `silent`: nothing passes and nothing ends, as on a dead link. `reset`: connections are refused and reset.
 * `drip`: connections pass some kilobytes a second. `inspected`: a proxy ends their TLS with a certificate of
 * its own and lets HTTP/1.1 pass alone.
 */
export type Cut = 'silent' | 'reset' | 'drip' | 'inspected';

/**
 * What is done once to the connections that are there: `half-open` ends the hub's side alone, and the agent
 * hears nothing; `garbage` puts bytes that mean nothing into both directions.
 */
export type Spoil = 'half-open' | 'garbage';

/** What is done to the platform of one site. */
export type SiteAction =
  | { readonly kind: 'LoseTasks'; readonly id: string }
  | { readonly kind: 'Vanish'; readonly id: string }
  | { readonly kind: 'FailEnsures' | 'FailRemoves'; readonly count: number }
  | { readonly kind: 'Reachable' | 'Quorum' | 'Leads'; readonly value: boolean }
  | { readonly kind: 'Slowness'; readonly factor: number };

export interface HollowInstance {
  readonly id: string;
  readonly name: string;
  /** Of the plan that was carried out last. */
  readonly sequence: number;
  readonly tasks: readonly {
    readonly name: string;
    readonly state: string;
    readonly since: number;
  }[];
}

export interface HollowSnapshot {
  readonly name: string;
  readonly running: boolean;
  readonly connected: boolean;
  /** Tasks started since the site was made: what tells that nothing restarted. */
  readonly started: number;
  /** Side effects since the site was made. */
  readonly changes: number;
  /** Calls of the driver since the site was made. */
  readonly calls: { readonly ensure: number; readonly remove: number };
  /** Why the agent ended by itself, if it did. */
  readonly ended?: string;
  readonly instances: readonly HollowInstance[];
}

export interface HollowCounts {
  readonly connected: number;
  readonly instances: number;
  readonly started: number;
  readonly changes: number;
  readonly ensures: number;
  readonly removes: number;
  /** Agents that ended by themselves. */
  readonly ended: number;
}

export interface WorkerCommands {
  setup(setup: WorkerSetup): void;
  /** Starts the agents of new sites, or of known ones that were stopped. */
  start(sites: readonly SiteSetup[]): void;
  /** Ends agents in order; platforms stay. */
  stop(names: readonly string[]): Promise<void>;
  cut(names: readonly string[], how: Cut): void;
  heal(names: readonly string[]): void;
  /** Ends the connections that are there; agents dial again. */
  drop(names: readonly string[]): void;
  spoil(names: readonly string[], how: Spoil): void;
  /**
   * Starts a second agent with a copy of what a site has, on a platform of its own, or ends it; then what that
   * one removed there, by id.
   */
  twin(name: string, on: boolean): Promise<readonly string[]>;
  route(routes: Routes): void;
  /** Sets the clock of the process, in milliseconds from the right time. */
  clock(offsetMs: number): void;
  act(name: string, action: SiteAction): void;
  /** Whether each plan that reaches a driver, and each change of a task, is told. */
  watch(on: boolean): void;
  counts(): HollowCounts;
  snapshots(names: readonly string[]): readonly HollowSnapshot[];
}

/** Times are of the machine's monotonic clock in milliseconds: the same in all processes. */
export type WorkerEvent =
  | { readonly kind: 'Connected' | 'Disconnected'; readonly site: string; readonly at: number }
  /** A plan reached the driver for the first time. */
  | {
      readonly kind: 'Planned';
      readonly site: string;
      readonly id: string;
      readonly sequence: number;
      readonly at: number;
    }
  /** What the platform shows of an instance changed. */
  | { readonly kind: 'Changed'; readonly site: string; readonly id: string; readonly at: number };

export type Request = {
  [K in keyof WorkerCommands]: {
    readonly n: number;
    readonly command: K;
    readonly args: Parameters<WorkerCommands[K]>;
  };
}[keyof WorkerCommands];

export type Message =
  | { readonly n: number; readonly value?: unknown; readonly error?: string }
  | { readonly events: readonly WorkerEvent[] };

/** Milliseconds of the machine's monotonic clock. */
export const machineMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;
