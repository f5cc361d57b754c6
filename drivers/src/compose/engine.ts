/**
 * The engine's API as far as a stack uses it: the bodies of `POST /services/create`, `/networks/create`,
 * `/configs/create` and `/secrets/create`. Field names are the engine's own. A field at its default is
 * absent just where the command-line tool leaves it out.
 */
export type Strings = Readonly<Record<string, string>>;

export interface FileTarget {
  readonly Name: string;
  readonly UID: string;
  readonly GID: string;
  readonly Mode: number;
}

export interface ConfigReference {
  readonly File?: FileTarget;
  readonly Runtime?: Readonly<Record<string, never>>;
  /** Filled in by `bindReferences`, once the object exists. */
  readonly ConfigID?: string;
  readonly ConfigName: string;
}

export interface SecretReference {
  readonly File: FileTarget;
  /** Filled in by `bindReferences`, once the object exists. */
  readonly SecretID?: string;
  readonly SecretName: string;
}

export interface Mount {
  readonly Type: string;
  readonly Source?: string;
  readonly Target?: string;
  readonly ReadOnly?: boolean;
  readonly Consistency?: string;
  readonly BindOptions?: { readonly Propagation?: string };
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean;
    readonly Labels?: Strings;
    readonly Subpath?: string;
    readonly DriverConfig?: { readonly Name?: string; readonly Options?: Strings };
  };
  readonly TmpfsOptions?: { readonly SizeBytes?: number };
  readonly ClusterOptions?: Readonly<Record<string, never>>;
}

export interface Healthcheck {
  readonly Test?: readonly string[];
  readonly Interval?: number;
  readonly Timeout?: number;
  readonly StartPeriod?: number;
  readonly StartInterval?: number;
  readonly Retries?: number;
}

export interface ContainerSpec {
  readonly Image: string;
  readonly Labels: Strings;
  readonly Command?: readonly string[];
  readonly Args?: readonly string[];
  readonly Hostname?: string;
  readonly Env?: readonly string[];
  readonly Dir?: string;
  readonly User?: string;
  readonly Groups?: readonly string[];
  readonly Privileges?: {
    readonly CredentialSpec: {
      readonly Config?: string;
      readonly File?: string;
      readonly Registry?: string;
    } | null;
    readonly SELinuxContext: null;
    readonly NoNewPrivileges: boolean;
  };
  readonly Init?: boolean;
  readonly StopSignal?: string;
  readonly TTY?: boolean;
  readonly OpenStdin?: boolean;
  readonly ReadOnly?: boolean;
  readonly Mounts?: readonly Mount[];
  readonly StopGracePeriod?: number;
  readonly Healthcheck?: Healthcheck;
  readonly Hosts?: readonly string[];
  readonly DNSConfig?: {
    readonly Nameservers?: readonly string[];
    readonly Search?: readonly string[];
  };
  readonly Secrets?: readonly SecretReference[];
  readonly Configs?: readonly ConfigReference[];
  readonly Isolation?: string;
  readonly Sysctls?: Strings;
  readonly CapabilityAdd?: readonly string[];
  readonly CapabilityDrop?: readonly string[];
  readonly Ulimits?: readonly {
    readonly Name: string;
    readonly Hard: number;
    readonly Soft: number;
  }[];
  readonly OomScoreAdj?: number;
}

export interface GenericResource {
  readonly DiscreteResourceSpec?: { readonly Kind?: string; readonly Value?: number };
}

export interface Resources {
  readonly Limits?: {
    readonly NanoCPUs?: number;
    readonly MemoryBytes?: number;
    readonly Pids?: number;
  };
  readonly Reservations?: {
    readonly NanoCPUs?: number;
    readonly MemoryBytes?: number;
    readonly GenericResources?: readonly GenericResource[];
  };
}

export interface RestartPolicy {
  readonly Condition?: string;
  readonly Delay?: number;
  readonly MaxAttempts?: number;
  readonly Window?: number;
}

export interface Placement {
  readonly Constraints?: readonly string[];
  readonly Preferences?: readonly { readonly Spread: { readonly SpreadDescriptor: string } }[];
  readonly MaxReplicas?: number;
}

export interface NetworkAttachment {
  /** Name of the network here; the engine stores its id. */
  readonly Target: string;
  readonly Aliases?: readonly string[];
  readonly DriverOpts?: Strings;
}

export interface TaskSpec {
  readonly ContainerSpec: ContainerSpec;
  readonly Resources: Resources;
  readonly RestartPolicy?: RestartPolicy;
  readonly Placement: Placement;
  readonly Networks: readonly NetworkAttachment[];
  readonly LogDriver?: { readonly Name?: string; readonly Options?: Strings };
  /** Kept by an update, so that it restarts nothing by itself. */
  readonly ForceUpdate: number;
}

export interface ServiceMode {
  readonly Replicated?: { readonly Replicas?: number };
  readonly Global?: Readonly<Record<string, never>>;
  readonly ReplicatedJob?: { readonly MaxConcurrent?: number; readonly TotalCompletions?: number };
  readonly GlobalJob?: Readonly<Record<string, never>>;
}

export interface UpdateConfig {
  readonly Parallelism: number;
  readonly Delay?: number;
  readonly FailureAction?: string;
  readonly Monitor?: number;
  readonly MaxFailureRatio: number;
  readonly Order: string;
}

export interface PortConfig {
  readonly Protocol?: string;
  readonly TargetPort?: number;
  readonly PublishedPort?: number;
  readonly PublishMode?: string;
}

export interface EndpointSpec {
  readonly Mode?: string;
  readonly Ports?: readonly PortConfig[];
}

export interface ServiceSpec {
  readonly Name: string;
  readonly Labels: Strings;
  readonly TaskTemplate: TaskSpec;
  readonly Mode: ServiceMode;
  readonly UpdateConfig?: UpdateConfig;
  readonly RollbackConfig?: UpdateConfig;
  readonly EndpointSpec: EndpointSpec;
}

export interface NetworkSpec {
  readonly Name: string;
  readonly Driver: string;
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly EnableIPv6?: boolean;
  readonly IPAM: {
    readonly Driver: string;
    readonly Options: Strings | null;
    readonly Config?: readonly {
      readonly Subnet?: string;
      readonly Gateway?: string;
      readonly IPRange?: string;
      readonly AuxiliaryAddresses?: Strings;
    }[];
  } | null;
  readonly Options: Strings | null;
  readonly Labels: Strings;
}

/** A config or a secret. `Data` is base64. */
export interface FileObjectSpec {
  readonly Name: string;
  readonly Labels: Strings;
  readonly Data: string;
  readonly Driver?: { readonly Name: string; readonly Options?: Strings };
  readonly Templating?: { readonly Name: string };
}
