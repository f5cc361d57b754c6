/** From objects to the keys that a controller should look at. Pure. */
import { apiVersionOf } from './paths.ts';
import type { CacheEvent, KubernetesObject, ObjectKey, ResourceType } from './types.ts';
import { keyOf } from './paths.ts';

/** The object itself. */
export function itself(object: KubernetesObject): readonly ObjectKey[] {
  return [keyOf(object)];
}

/** The owner of this kind that controls the object, whatever version its reference names. */
export function ownersOf(type: ResourceType): (object: KubernetesObject) => readonly ObjectKey[] {
  const group = apiVersionOf(type).replace(type.version, '');
  return (object) =>
    (object.metadata.ownerReferences ?? [])
      .filter(
        (owner) =>
          owner.controller === true &&
          owner.kind === type.kind &&
          owner.apiVersion.slice(0, owner.apiVersion.indexOf('/') + 1) === group,
      )
      .map((owner) =>
        type.namespaced && object.metadata.namespace
          ? `${object.metadata.namespace}/${owner.name}`
          : owner.name,
      );
}

/**
 * False for an update of the status alone: neither generation, labels, annotations, finalizers, owners nor the
 * deletion changed. For kinds whose generation counts changes of the spec.
 */
export function isIntentChange<T extends KubernetesObject>(event: CacheEvent<T>): boolean {
  if (event.type !== 'Updated') return true;
  const [now, before] = [event.object.metadata, event.old.metadata];
  return (
    now.generation === undefined ||
    now.generation !== before.generation ||
    now.deletionTimestamp !== before.deletionTimestamp ||
    isDifferent(now.labels, before.labels) ||
    isDifferent(now.annotations, before.annotations) ||
    isDifferent(now.finalizers, before.finalizers) ||
    isDifferent(now.ownerReferences, before.ownerReferences)
  );
}

function isDifferent(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}
