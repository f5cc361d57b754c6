/**
 * Reads one's own writes: the newer of what the watch has brought and what this process wrote itself.
 *
 * Guarantees: after `wrote(object)` no read gives an older state of it; what is held is dropped as soon as
 * the watch has caught up, or has seen the object go. Without it a reconcile that runs before its own write
 * comes back by the watch would write again.
 */
import type { Cache, Informer, KubernetesObject, ObjectKey } from '@cloudlet/runtime/kubernetes';

export interface Freshest<T extends KubernetesObject> {
  get(key: ObjectKey): T | undefined;
  /** To be called with each answer of the API server to a write, or to a read of its own. */
  wrote(object: T): T;
  /** Resolves when the watch has brought what this process wrote of it last, and so all that came before. */
  seen(key: ObjectKey): Promise<void>;
}

export const keyOf = (object: KubernetesObject): ObjectKey =>
  object.metadata.namespace
    ? `${object.metadata.namespace}/${object.metadata.name}`
    : object.metadata.name;

export function createFreshest<T extends KubernetesObject>(
  informer: Pick<Informer<T>, 'cache' | 'subscribe'>,
): Freshest<T> {
  const cache: Pick<Cache<T>, 'get'> = informer.cache;
  const written = new Map<ObjectKey, T>();
  const waiting = new Map<ObjectKey, (() => void)[]>();
  informer.subscribe((event) => {
    const key = keyOf(event.object);
    const own = written.get(key);
    if (!own || (event.type !== 'Deleted' && isNewer(own, event.object))) return;
    written.delete(key);
    for (const resolve of waiting.get(key) ?? []) resolve();
    waiting.delete(key);
  });
  const get = (key: ObjectKey): T | undefined => {
    const cached = cache.get(key);
    const own = written.get(key);
    return own && (!cached || isNewer(own, cached)) ? own : cached;
  };
  return {
    get,
    wrote(object) {
      const key = keyOf(object);
      const known = get(key);
      // The answer to a read may be older than a write that overtook it.
      if (!known || isNewer(object, known)) written.set(key, object);
      return object;
    },
    seen(key) {
      if (!written.has(key)) return Promise.resolve();
      return new Promise((resolve) => waiting.set(key, [...(waiting.get(key) ?? []), resolve]));
    },
  };
}

/** Whether `a` is a later state than `b`. Resource versions of one kind are numbers that grow. */
export function isNewer(a: KubernetesObject, b: KubernetesObject): boolean {
  return versionOf(a) > versionOf(b);
}

const versionOf = (object: KubernetesObject): bigint =>
  BigInt(object.metadata.resourceVersion ?? '0');
