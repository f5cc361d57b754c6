/**
 * What the engine answers, as far as the driver reads it. The engine is the root of trust on its machine, so
 * answers are typed, not parsed; lists that Go writes as null when empty are typed so.
 */
import type { NetworkSpec, PortConfig, ServiceSpec, Strings, TaskSpec } from '../compose/engine.ts';

export interface Version {
  readonly Index: number;
}

export type UpdateState =
  | 'updating'
  | 'paused'
  | 'completed'
  | 'rollback_started'
  | 'rollback_paused'
  | 'rollback_completed';

export interface Service {
  readonly ID: string;
  readonly Version: Version;
  readonly CreatedAt: string;
  readonly UpdatedAt: string;
  readonly Spec: ServiceSpec;
  readonly PreviousSpec?: ServiceSpec;
  readonly UpdateStatus?: {
    readonly State?: UpdateState;
    readonly StartedAt?: string;
    readonly CompletedAt?: string;
    readonly Message?: string;
  };
  readonly ServiceStatus?: {
    readonly RunningTasks: number;
    readonly DesiredTasks: number;
    readonly CompletedTasks?: number;
  };
}

export type TaskState =
  | 'new'
  | 'allocated'
  | 'pending'
  | 'assigned'
  | 'accepted'
  | 'preparing'
  | 'ready'
  | 'starting'
  | 'running'
  | 'complete'
  | 'shutdown'
  | 'failed'
  | 'rejected'
  | 'remove'
  | 'orphaned';

export interface Task {
  readonly ID: string;
  readonly Version: Version;
  readonly CreatedAt: string;
  readonly UpdatedAt: string;
  readonly ServiceID: string;
  readonly NodeID?: string;
  readonly Slot?: number;
  readonly Spec: TaskSpec;
  readonly DesiredState: TaskState;
  readonly Status: {
    readonly Timestamp: string;
    readonly State: TaskState;
    readonly Message?: string;
    readonly Err?: string;
    readonly ContainerStatus?: {
      readonly ContainerID?: string;
      readonly PID?: number;
      readonly ExitCode?: number;
    };
    readonly PortStatus?: { readonly Ports?: readonly PortConfig[] };
  };
}

export interface SwarmNode {
  readonly ID: string;
  readonly Version: Version;
  readonly Spec: {
    readonly Name?: string;
    readonly Labels?: Strings | null;
    readonly Role: 'manager' | 'worker';
    readonly Availability: 'active' | 'pause' | 'drain';
  };
  readonly Description: {
    readonly Hostname: string;
    readonly Platform: { readonly Architecture: string; readonly OS: string };
    readonly Resources: { readonly NanoCPUs?: number; readonly MemoryBytes?: number };
    readonly Engine: { readonly EngineVersion?: string; readonly Labels?: Strings | null };
  };
  readonly Status: {
    readonly State: 'ready' | 'down' | 'unknown' | 'disconnected';
    readonly Message?: string;
    readonly Addr?: string;
  };
  readonly ManagerStatus?: {
    readonly Leader?: boolean;
    readonly Reachability: 'unknown' | 'unreachable' | 'reachable';
    readonly Addr: string;
  };
}

export interface EngineInfo {
  readonly ID: string;
  readonly Name: string;
  readonly ServerVersion: string;
  readonly Architecture: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly DockerRootDir: string;
  readonly Swarm: {
    readonly NodeID: string;
    readonly NodeAddr: string;
    readonly LocalNodeState: 'inactive' | 'pending' | 'active' | 'error' | 'locked';
    readonly ControlAvailable: boolean;
    readonly Error?: string;
    readonly Nodes?: number;
    readonly Managers?: number;
    readonly RemoteManagers?: readonly { readonly NodeID: string; readonly Addr: string }[] | null;
  };
}

export interface Network extends NetworkSpec {
  readonly Id: string;
  readonly Scope: string;
}

/** A config or a secret. */
export interface FileObject {
  readonly ID: string;
  readonly Version: Version;
  readonly Spec: {
    readonly Name: string;
    readonly Labels?: Strings | null;
    /** Base64; of a secret the engine never tells it. */
    readonly Data?: string;
  };
}

export interface ListedContainer {
  readonly Id: string;
  readonly Ports: readonly {
    readonly PrivatePort: number;
    /** Absent: not published. */
    readonly PublicPort?: number;
    readonly Type: 'tcp' | 'udp' | 'sctp';
  }[];
}

export interface Volume {
  readonly Name: string;
  readonly Driver: string;
  readonly Labels?: Strings | null;
}

export interface Distribution {
  readonly Descriptor: { readonly digest: string; readonly mediaType: string };
  readonly Platforms: readonly Platform[];
}

export interface Platform {
  readonly os?: string;
  readonly architecture?: string;
  readonly variant?: string;
}

export interface LocalImage {
  readonly Id: string;
  readonly Os: string;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly RepoDigests?: readonly string[] | null;
}

export interface EngineEvent {
  readonly Type: string;
  readonly Action: string;
  readonly scope?: 'local' | 'swarm';
  readonly Actor: { readonly ID: string; readonly Attributes?: Strings | null };
}
