/**
 * What an App is at a swarm: everything that its driver makes there, ready to be sent to the engine but for
 * the ids of configs and secrets, which `bindReferences` fills in once they exist.
 */
import type { FileObjectSpec, NetworkSpec, ServiceSpec } from './engine.ts';
import type { Protocol } from './model.ts';

export interface StackService {
  /** Name in the compose file; `spec.Name` has the stack's name before it. */
  readonly name: string;
  readonly spec: ServiceSpec;
}

export interface StackNetwork {
  readonly name: string;
  /** Absent: it is external and must be there. */
  readonly spec?: NetworkSpec;
}

export interface StackVolume {
  readonly name: string;
  /** It is not the stack's: never removed with it. */
  readonly external: boolean;
}

export interface StackFileObject {
  /** Name in the compose file. */
  readonly key: string;
  /** Name at the engine. A name with a content hash never changes its content. */
  readonly name: string;
  /** Absent: it is external and must be there. */
  readonly spec?: FileObjectSpec;
}

/** A port of the stack that a load balancer, or a device, can reach on the nodes. */
export interface PublishedPort {
  /** Port of the App, where one is served by it. */
  readonly port?: string;
  readonly service: string;
  readonly protocol: Protocol;
  /** Port of the container. */
  readonly target: number;
  /** Absent: the engine picks one for each task, and the task's status names it. */
  readonly published?: number;
  readonly mode: 'ingress' | 'host';
}

export interface StackPlan {
  readonly stack: string;
  readonly services: readonly StackService[];
  readonly networks: readonly StackNetwork[];
  readonly volumes: readonly StackVolume[];
  readonly configs: readonly StackFileObject[];
  readonly secrets: readonly StackFileObject[];
  readonly published: readonly PublishedPort[];
  /** Each starts with the path of its key. */
  readonly warnings: readonly string[];
}

/** Ids at the engine by name. */
export interface ObjectIds {
  readonly configs: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, string>;
}

/** The spec with the ids that the engine wants beside the names; an unknown name stays without. */
export function bindReferences(spec: ServiceSpec, ids: ObjectIds): ServiceSpec {
  const container = spec.TaskTemplate.ContainerSpec;
  const configs = container.Configs?.map((reference) => ({
    ...reference,
    ...(ids.configs.has(reference.ConfigName)
      ? { ConfigID: ids.configs.get(reference.ConfigName) as string }
      : {}),
  }));
  const secrets = container.Secrets?.map((reference) => ({
    ...reference,
    ...(ids.secrets.has(reference.SecretName)
      ? { SecretID: ids.secrets.get(reference.SecretName) as string }
      : {}),
  }));
  const credentialConfig = container.Privileges?.CredentialSpec?.Config;
  const credentialId = credentialConfig && ids.configs.get(credentialConfig);
  return {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: {
        ...container,
        ...(configs ? { Configs: configs } : {}),
        ...(secrets ? { Secrets: secrets } : {}),
        ...(credentialId && container.Privileges
          ? {
              Privileges: {
                ...container.Privileges,
                CredentialSpec: { ...container.Privileges.CredentialSpec, Config: credentialId },
              },
            }
          : {}),
      },
    },
  };
}
