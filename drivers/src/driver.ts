/**
 * The contract of a driver: what makes one platform do what the API says.
 *
 * The agent owns desired state, retries, lanes and reports; a driver owns the platform. Drivers keep no
 * state of their own: what they made carries the instance id as a label or tag and is looked for by it
 * before it is made, and the checkpoint that a long job needs is kept by the agent.
 *
 * Rules that every driver keeps, and that the conformance suite tries:
 * - `ensure` and `remove` are idempotent and return within 30 s. A job that takes longer returns `Working`
 *   with a checkpoint; the agent stores it (64 KiB at most) before it calls again, so before the next side
 *   effect. A driver that finds a checkpoint of another `version` starts over by looking at the platform.
 * - Nothing is recreated or restarted when the wanted state is what is there: a driver compares its own
 *   normalised wanted with the observed, never hashes of the transport.
 * - `suspend` changes nothing. `powerState: Off` stops the workload and keeps volumes and names.
 * - Removing what is absent succeeds. A removal leaves nothing but volumes that are to be retained.
 * - Every call to the platform has a deadline; `signal` ends a call early and leaves what a repeat heals.
 * - Failures are DriverErrors: `permanent` where only another plan helps (a bad compose file, an image
 *   that does not exist for any node), not permanent where time may heal.
 * - No secret value appears in an error, a warning, a label or a name; no shell string is built from data.
 */
import type { Readable, Writable } from 'node:stream';
import type { Plan, Removal, SiteNode, TaskStatus } from '@cloudlet/crds';

export interface Checkpoint {
  /** Chosen by the driver; another version's checkpoint is not read. */
  readonly version: string;
  readonly data: unknown;
}

export interface Progress {
  readonly task: string;
  readonly step: number;
  readonly of: number;
  readonly message?: string;
}

export type StepResult =
  | { readonly kind: 'Done'; readonly warnings?: readonly string[] }
  | {
      readonly kind: 'Working';
      readonly progress: Progress;
      /** Call again after so many milliseconds. */
      readonly againMs: number;
      readonly checkpoint?: Checkpoint;
      readonly warnings?: readonly string[];
    };

export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown';
  /** A CamelCase reason of @cloudlet/crds. */
  readonly reason: string;
  readonly message: string;
}

/** What is there of one instance. */
export interface InstanceObservation {
  readonly id: string;
  /** What it is called at the site, such as its stack. */
  readonly name: string;
  /** Sequence of the plan that was last carried out whole, as noted at the platform. */
  readonly sequence: number;
  /** Whether what runs is what the last plan asked for. */
  readonly deployed: Verdict;
  /** Whether it works. */
  readonly healthy: Verdict;
  readonly tasks: readonly TaskStatus[];
  readonly backends?: readonly {
    readonly port: string;
    readonly up: number;
    readonly total: number;
  }[];
}

/** What is there of the site. */
export interface SiteObservation {
  /** Whether instances can be run now. */
  readonly platform: Verdict;
  /** Swarm and the like: whether changes are possible. */
  readonly quorum?: Verdict;
  readonly loadBalancer?: Verdict;
  readonly platformVersion?: string;
  /** Whether this member should act for the site: on a swarm, whether it leads. */
  readonly leads: boolean;
  readonly nodes: readonly SiteNode[];
  /** Where public ports answer. */
  readonly addresses: readonly string[];
  readonly architectures: readonly string[];
  readonly capacity: {
    readonly cpuMillis?: number;
    readonly memoryBytes?: number;
    readonly diskBytes?: number;
  };
}

export type Observation =
  /** All there is. An instance that is missing from it is not there. */
  | {
      readonly kind: 'Snapshot';
      readonly site: SiteObservation;
      readonly instances: readonly InstanceObservation[];
    }
  | { readonly kind: 'Site'; readonly site: SiteObservation }
  | { readonly kind: 'Instance'; readonly instance: InstanceObservation }
  | { readonly kind: 'Gone'; readonly id: string };

export interface SessionTarget {
  readonly kind: 'exec' | 'logs' | 'shell' | 'portforward';
  readonly instance?: string;
  readonly target?: string;
  readonly argv?: readonly string[];
  readonly tty?: boolean;
  readonly stdin?: boolean;
  readonly follow?: boolean;
  readonly tailLines?: number;
  readonly sinceSeconds?: number;
  readonly timestamps?: boolean;
  readonly port?: number;
}

export type SessionExit = { readonly code: number } | { readonly reason: string };

/** An open session. Back-pressure is the streams'; nothing is buffered beyond their marks. */
export interface DriverSession {
  readonly stdin?: Writable;
  readonly stdout: Readable;
  /** Absent with a tty. */
  readonly stderr?: Readable;
  resize(columns: number, rows: number): Promise<void>;
  /** Settles once, after the output ended. Never rejects. */
  readonly exit: Promise<SessionExit>;
  close(): void;
}

export interface Driver {
  /** As in the Cloudlet's `spec.platform`. */
  readonly platform: string;
  /** Most `ensure`/`remove` calls at once, of different instances. */
  readonly parallelism: number;
  ensure(plan: Plan, checkpoint: Checkpoint | undefined, signal: AbortSignal): Promise<StepResult>;
  remove(
    removal: Removal,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult>;
  /**
   * One full snapshot, then changes, and a full one every 60 s. Its end or error means: start over. While
   * the platform cannot say what there is, only `Site` comes; the snapshot follows when it can.
   */
  observe(signal: AbortSignal): AsyncIterable<Observation>;
  /** @throws DriverError when the target is not there or cannot be reached. */
  openSession(target: SessionTarget, signal: AbortSignal): Promise<DriverSession>;
  /**
   * The instances that the load balancer of this member shall serve: every plan that the agent has on
   * disk. Called when that changes, also on members that do not act. A driver without one leaves it out.
   */
  publish?(plans: readonly Plan[]): void;
  /**
   * The site leaves its region: removes what this member made for the site itself (a load balancer). Nothing
   * is placed any more; repeating it is harmless. A driver that makes no such thing leaves it out.
   */
  leave?(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}
