/**
 * A compose file as it was meant: one form for each key, units resolved, variables filled in. What the
 * readers in load/ make and the converters in convert/ take.
 */
import type { Strings } from './engine.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

export interface ComposePort {
  /** Empty where the long form leaves it out. */
  readonly protocol: Protocol | '';
  readonly target: number;
  /** 0: the engine picks one. */
  readonly published: number;
  readonly mode: 'ingress' | 'host' | '';
}

export interface ComposeMount {
  readonly path: string;
  readonly type: 'volume' | 'bind' | 'tmpfs' | 'npipe' | 'cluster';
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
  readonly consistency: string;
  readonly propagation?: string;
  readonly volume?: { readonly noCopy: boolean; readonly subpath: string };
  readonly tmpfsBytes?: number;
}

export interface ComposeFileReference {
  readonly path: string;
  readonly source: string;
  readonly target: string;
  readonly uid: string;
  readonly gid: string;
  readonly mode: number;
}

export interface ComposeHealthcheck {
  readonly disable: boolean;
  readonly test?: readonly string[];
  readonly interval?: number;
  readonly timeout?: number;
  readonly startPeriod?: number;
  readonly startInterval?: number;
  readonly retries?: number;
}

export interface ComposeUpdate {
  readonly parallelism: number;
  readonly delay: number;
  readonly failureAction: string;
  readonly monitor: number;
  readonly maxFailureRatio: number;
  readonly order: string;
}

export interface ComposeRestart {
  readonly condition: string;
  readonly delay?: number;
  readonly maxAttempts?: number;
  readonly window?: number;
}

export interface ComposeLimits {
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly pids: number;
}

export interface ComposeReservations {
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly generic: readonly { readonly kind: string; readonly value: number }[];
}

export interface ComposeDeploy {
  readonly mode: 'replicated' | 'global' | 'replicated-job' | 'global-job';
  readonly replicas?: number;
  readonly endpointMode: string;
  readonly labels: Strings;
  readonly update?: ComposeUpdate;
  readonly rollback?: ComposeUpdate;
  readonly limits?: ComposeLimits;
  readonly reservations?: ComposeReservations;
  readonly restart?: ComposeRestart;
  readonly constraints: readonly string[];
  readonly spread: readonly string[];
  readonly maxReplicas: number;
}

export interface ComposeAttachment {
  readonly network: string;
  readonly path: string;
  readonly aliases: readonly string[];
  readonly driverOpts: Strings;
}

export interface ComposeService {
  readonly name: string;
  readonly path: string;
  /** As written in the file. */
  readonly image: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly capAdd: readonly string[];
  readonly capDrop: readonly string[];
  readonly configs: readonly ComposeFileReference[];
  readonly secrets: readonly ComposeFileReference[];
  readonly credentialSpec?: {
    readonly kind: 'Config' | 'File' | 'Registry';
    readonly value: string;
  };
  readonly deploy: ComposeDeploy;
  readonly dns: readonly string[];
  readonly dnsSearch: readonly string[];
  /** Null: named without a value. */
  readonly environment: ReadonlyMap<string, string | null>;
  readonly expose: readonly { readonly port: number; readonly protocol: Protocol }[];
  readonly groups: readonly string[];
  readonly hosts: readonly string[];
  readonly healthcheck?: ComposeHealthcheck;
  readonly hostname: string;
  readonly init?: boolean;
  readonly isolation: string;
  readonly labels: Strings;
  readonly logging?: { readonly driver: string; readonly options: Strings };
  readonly networks: readonly ComposeAttachment[];
  readonly oomScoreAdj: number;
  readonly ports: readonly ComposePort[];
  readonly readOnly: boolean;
  readonly openStdin: boolean;
  readonly stopGracePeriod?: number;
  readonly stopSignal: string;
  readonly sysctls: Strings;
  readonly tty: boolean;
  readonly ulimits: readonly {
    readonly name: string;
    readonly soft: number;
    readonly hard: number;
  }[];
  readonly user: string;
  readonly mounts: readonly ComposeMount[];
  readonly workingDir: string;
}

export interface ComposeNetwork {
  /** Full name, where the file gives one. */
  readonly name: string;
  readonly external: boolean;
  readonly driver: string;
  readonly driverOpts: Strings | undefined;
  readonly internal: boolean;
  readonly attachable: boolean;
  readonly ipv6: boolean;
  readonly labels: Strings;
  readonly ipam?: {
    readonly driver: string;
    readonly options: Strings;
    readonly config: readonly {
      readonly subnet: string;
      readonly gateway: string;
      readonly ipRange: string;
      readonly auxiliary: Strings;
    }[];
  };
}

export interface ComposeVolume {
  readonly name: string;
  readonly external: boolean;
  readonly driver: string;
  readonly driverOpts: Strings | undefined;
  readonly labels: Strings;
}

export interface ComposeFileObject {
  readonly path: string;
  readonly name: string;
  readonly external: boolean;
  /** The file of the App that has the content, where one was named. */
  readonly file: string;
  readonly labels: Strings;
  readonly driver: string;
  readonly driverOpts: Strings;
  readonly templateDriver: string;
  /** Absent when external or kept by a driver. */
  readonly content?: Uint8Array;
}

export interface ComposeStack {
  readonly services: readonly ComposeService[];
  readonly networks: ReadonlyMap<string, ComposeNetwork>;
  readonly volumes: ReadonlyMap<string, ComposeVolume>;
  readonly configs: ReadonlyMap<string, ComposeFileObject>;
  readonly secrets: ReadonlyMap<string, ComposeFileObject>;
}
