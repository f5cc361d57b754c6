/** A kind as the region has it now, and waiting for what it becomes: one watch for any number of waits. */
import type { ResourceType } from '@cloudlet/runtime/kubernetes';
import {
  createInformer,
  type Informer,
  type KubernetesClient,
  type KubernetesObject,
  type ObjectKey,
} from '@cloudlet/runtime/kubernetes';
import { DeadlineError, systemClock } from '@cloudlet/runtime/base';

export interface Watching<T extends KubernetesObject> extends AsyncDisposable {
  readonly informer: Informer<T>;
  readonly cache: Informer<T>['cache'];
  /** Resolves with the object as soon as it passes. @throws DeadlineError */
  whenever(key: ObjectKey, passes: (object: T) => boolean, deadlineMs?: number): Promise<T>;
}

export interface WatchingOptions {
  readonly namespace?: string;
  readonly signal: AbortSignal;
}

interface Wait<T> {
  readonly passes: (object: T) => boolean;
  readonly resolve: (object: T) => void;
}

export async function watching<T extends KubernetesObject>(
  client: KubernetesClient,
  type: ResourceType,
  { namespace, signal }: WatchingOptions,
): Promise<Watching<T>> {
  const informer = createInformer<T>(client, type, namespace === undefined ? {} : { namespace });
  const waits = new Map<ObjectKey, Set<Wait<T>>>();
  informer.subscribe(({ type: change, object }) => {
    if (change === 'Deleted') return;
    for (const wait of waits.get(keyOf(object)) ?? [])
      if (wait.passes(object)) wait.resolve(object);
  });
  const stop = new AbortController();
  const running = informer.run(AbortSignal.any([signal, stop.signal]));
  await informer.synced(signal);
  return {
    informer,
    cache: informer.cache,
    whenever: (key, passes, deadlineMs = 120_000) =>
      new Promise((resolve, reject) => {
        const known = informer.cache.get(key);
        if (known && passes(known)) {
          resolve(known);
          return;
        }
        const here = waits.get(key) ?? new Set<Wait<T>>();
        waits.set(key, here);
        const forget = (): void => {
          here.delete(wait);
          if (here.size === 0) waits.delete(key);
          signal.removeEventListener('abort', onAbort);
          late.cancel();
        };
        const onAbort = (): void => {
          forget();
          reject(signal.reason as Error);
        };
        const late = systemClock.after(deadlineMs, () => {
          forget();
          const now = JSON.stringify(informer.cache.get(key) ?? 'nothing');
          reject(
            new DeadlineError(`waited ${deadlineMs / 1000} s for ${type.kind} ${key}: ${now}`),
          );
        });
        const wait: Wait<T> = {
          passes,
          resolve: (object) => {
            forget();
            resolve(object);
          },
        };
        here.add(wait);
        signal.addEventListener('abort', onAbort, { once: true });
      }),
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('nobody watches any more'));
      await running;
    },
  };
}

export const keyOf = ({ metadata }: KubernetesObject): ObjectKey =>
  metadata.namespace === undefined ? metadata.name : `${metadata.namespace}/${metadata.name}`;

/** Runs `action` for each item, at most `limit` at once. The first failure fails it when all have ended. */
export async function inParallel<T>(
  items: readonly T[],
  limit: number,
  action: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const work = async (): Promise<void> => {
    for (let index = next++; index < items.length && !failure; index = next++) {
      try {
        await action(items[index] as T, index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, work));
  if (failure) throw failure.error;
}
