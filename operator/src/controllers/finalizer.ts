/**
 * Finalizers of kinds that others refer to: such an object goes only when nothing refers to it any more.
 */
import type { KubernetesObject, ResourceClient } from '@cloudlet/runtime/kubernetes';
import { NotFoundError } from '@cloudlet/runtime/base';
import { type Freshest, keyOf } from '../freshest.ts';

/** Adds a finalizer where it is missing. Gives the object as it is then. */
export async function ensureFinalizer<T extends KubernetesObject>(
  client: ResourceClient<T>,
  freshest: Freshest<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<T> {
  const held = object.metadata.finalizers ?? [];
  if (held.includes(finalizer)) return object;
  return patchMetadata(client, freshest, object, { finalizers: [...held, finalizer] }, signal);
}

/** Takes a finalizer off; an object that is gone already is what was wanted. */
export async function dropFinalizer<T extends KubernetesObject>(
  client: ResourceClient<T>,
  freshest: Freshest<T>,
  object: T,
  finalizer: string,
  signal: AbortSignal,
): Promise<void> {
  const held = object.metadata.finalizers ?? [];
  if (!held.includes(finalizer)) return;
  try {
    const rest = held.filter((other) => other !== finalizer);
    await patchMetadata(client, freshest, object, { finalizers: rest }, signal);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
}

/** A merge patch of the metadata that fails when somebody changed the object since it was read. */
export async function patchMetadata<T extends KubernetesObject>(
  client: ResourceClient<T>,
  freshest: Freshest<T>,
  object: T,
  metadata: object,
  signal: AbortSignal,
): Promise<T> {
  const { name, namespace, resourceVersion } = object.metadata;
  const patch = { metadata: { ...metadata, resourceVersion } };
  return freshest.wrote(await client.mergePatch(name, namespace, patch, { signal }));
}

/** "AppInsts shop/a, shop/b and 3 more": who still refers to an object, at most five by name. */
export function referrersText(kind: string, objects: readonly KubernetesObject[]): string {
  const names = objects.map(keyOf).sort();
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${kind}${names.length === 1 ? '' : 's'} ${names.slice(0, 5).join(', ')}${more}`;
}
