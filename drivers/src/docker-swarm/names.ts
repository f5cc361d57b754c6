/**
 * Names and labels of what an instance is made of on a swarm.
 *
 * `com.docker.stack.namespace` is what `docker stack` goes by, so its commands work with our stacks and ours
 * with theirs. The rest is on the service alone, never in its containers: a service's label restarts nothing.
 */
import { apiGroup, labels, type Plan } from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import type { Strings } from '../compose/engine.ts';

export const stackLabel = 'com.docker.stack.namespace';
export const imageLabel = 'com.docker.stack.image';
export const instanceLabel = labels.instanceId;
/** Sequence of the plan that the service was last brought to. */
export const sequenceLabel = `${apiGroup}/sequence`;
/** How many services the plan has: the plan is carried out when so many bear its sequence. */
export const servicesLabel = `${apiGroup}/services`;
export const powerLabel = `${apiGroup}/power-state`;
/** Of an update that was rolled back, until one goes through: JSON of `FailedUpdate`. */
export const failedLabel = `${apiGroup}/failed-update`;
/** Sequence of the plan under which the service was taken over as it ran. */
export const adoptedLabel = `${apiGroup}/adopted`;
/**
 * Of a stack that was taken over: JSON list of the names with a hash that its configs and secrets would have.
 * What still has that hash keeps its old name, so that a later plan restarts only what it changes.
 */
export const adoptedFilesLabel = `${apiGroup}/adopted-files`;
/** Platforms of the service's image, as its registry told. */
export const platformsLabel = `${apiGroup}/platforms`;
/** On networks: the Cluster whose instances share it, as namespace/name. */
export const clusterLabel = `${apiGroup}/cluster`;
/** On nodes: architectures that it emulates. */
export const emulatesLabel = `${apiGroup}/emulates`;
/** On nodes: whether its kernel has IPVS; on services: whether they rely on it. */
export const ipvsLabel = `${apiGroup}/ipvs`;

/** The name that a plan's stack gets when it is made. */
export function newStackName(plan: Pick<Plan, 'id' | 'object'>): string {
  const short = plan.id
    .replace(/[^a-zA-Z0-9]/g, '')
    .slice(0, 5)
    .toLowerCase();
  return `${plan.object.name}-${short}`;
}

/** The network that all instances of a Cluster are in. */
export function clusterNetworkName(cluster: string): string {
  const name = cluster.split('/').at(-1) ?? '';
  return `cluster-${name.slice(0, 40)}-${contentHash(cluster, 5)}`;
}

export function ownLabels(plan: Pick<Plan, 'id'>, stack: string): Strings {
  return { [stackLabel]: stack, [instanceLabel]: plan.id };
}

/** Filters that find everything of an instance, of one kind. */
export function byInstance(id: string): Record<string, readonly string[]> {
  return { label: [`${instanceLabel}=${id}`] };
}

export function byStack(stack: string): Record<string, readonly string[]> {
  return { label: [`${stackLabel}=${stack}`] };
}
