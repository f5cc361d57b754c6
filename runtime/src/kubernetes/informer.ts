/**
 * The informer: a cache of one kind that follows the API server through every fault.
 *
 * Expected flow: list in pages, swap the cache, watch from the list's resource version, resume from the last one
 * seen. 410 in either form means list again and tell the difference.
 *
 * Guarantees: the cache ends up equal to the server whatever the connection did; `Retry-After` is obeyed; other
 * failures back off with jitter from 0.25 s to 30 s; clean closes come back at most about once a second; a
 * watch that is silent for `idleMs` (bookmarks come about once a minute) is ended and resumed; a handler that
 * throws is logged and disturbs nobody. After `run` returns no handler is called.
 */
import {
  type Clock,
  GoneError,
  type Logger,
  type Random,
  TooManyRequestsError,
  backoffMs,
  silentLogger,
  systemClock,
} from '../base/index.ts';
import { listAll } from './client.ts';
import { Interner } from './interning.ts';
import { keyOf, resourcePath } from './paths.ts';
import { Store } from './store.ts';
import { type WatchEvent, watch } from './watch.ts';
import type {
  Cache,
  CacheEvent,
  Informer,
  InformerOptions,
  KubernetesClient,
  KubernetesObject,
  ResourceType,
} from './types.ts';

export interface InformerTuning {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Longest silence of a watch. @default 90_000 */
  readonly idleMs?: number;
  /** For a page of the list. @default 60_000 */
  readonly listTimeoutMs?: number;
  /** @default 250 ms to 30 s, half of it random */
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
  /** Least time from one watch to the next when the server closes in order. @default 1_000 */
  readonly reopenMs?: number;
}

export type ObservableInformer<T extends KubernetesObject> = Informer<T> & {
  /** Monotonic milliseconds of the last sign of life or try: old only if the informer itself is stuck. */
  readonly lastAttempt: number;
};

/** What a watch missed comes with its opening; so long after it all is taken for told. */
const settleMs = 250;
/** The server ends a watch after 5 to 10 minutes, spread so that not all of them come back at once. */
const watchSeconds = { least: 300, more: 300 };

export function createInformer<T extends KubernetesObject>(
  client: KubernetesClient,
  type: ResourceType,
  options: InformerOptions<T> & InformerTuning = {},
): ObservableInformer<T> {
  return new WatchingInformer<T>(client, type, options);
}

class WatchingInformer<T extends KubernetesObject> implements ObservableInformer<T> {
  readonly type: ResourceType;
  readonly #client: KubernetesClient;
  readonly #options: InformerOptions<T> & InformerTuning;
  readonly #store: Store<T>;
  readonly #interner = new Interner();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #handlers = new Set<(event: CacheEvent<T>) => void>();
  readonly #firstList = Promise.withResolvers<void>();
  #resourceVersion: string | undefined;
  #hasSynced = false;
  #isCurrent = false;
  #running = false;
  #lastProgress: number;
  #lastAttempt: number;
  /** Failures since the last sign of life. */
  #failures = 0;

  constructor(
    client: KubernetesClient,
    type: ResourceType,
    options: InformerOptions<T> & InformerTuning,
  ) {
    this.type = type;
    this.#client = client;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#logger = (options.logger ?? silentLogger).with({ informer: type.plural });
    this.#store = new Store<T>(options.indexes, (index, error) =>
      this.#logger.error('an index function threw', { index, error }),
    );
    this.#lastProgress = this.#lastAttempt = this.#clock.monotonic();
  }

  get cache(): Cache<T> {
    return this.#store;
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  get lastProgress(): number {
    return this.#lastProgress;
  }

  get lastAttempt(): number {
    return Math.max(this.#lastProgress, this.#lastAttempt);
  }

  subscribe(handler: (event: CacheEvent<T>) => void): { unsubscribe(): void } {
    this.#handlers.add(handler);
    // Who comes late is told what is there already, so that nobody has to come before the first list.
    for (const object of this.#store.list())
      this.#call(handler, { type: 'Added', object, initial: true });
    return { unsubscribe: () => void this.#handlers.delete(handler) };
  }

  async synced(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#hasSynced || !signal) return this.#firstList.promise;
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([this.#firstList.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new TypeError(`the informer of ${this.type.plural} runs already`);
    this.#running = true;
    try {
      while (!signal.aborted) {
        const delayMs = await this.#follow(signal);
        if (!signal.aborted) await this.#clock.sleep(delayMs, signal).catch(() => undefined);
      }
    } finally {
      this.#running = false;
    }
  }

  /** Lists if it must, watches until the watch ends, and says how long to wait before the next time. */
  async #follow(signal: AbortSignal): Promise<number> {
    this.#lastAttempt = this.#clock.monotonic();
    try {
      const version = this.#resourceVersion ?? (await this.#list(signal));
      const opened = this.#clock.monotonic();
      await this.#watch(version, signal);
      const { reopenMs = 1_000 } = this.#options;
      return Math.max(0, reopenMs - (this.#clock.monotonic() - opened));
    } catch (error) {
      return signal.aborted ? 0 : this.#delayAfter(error);
    }
  }

  async #list(signal: AbortSignal): Promise<string> {
    const { namespace, labelSelector, fieldSelector, transform } = this.#options;
    const { listTimeoutMs = 60_000 } = this.#options;
    const { items, resourceVersion } = await listAll<T>(
      (query) =>
        this.#client.request('GET', resourcePath(this.type, { namespace }, query), {
          signal,
          timeoutMs: listTimeoutMs,
        }),
      this.type,
      { labelSelector, fieldSelector },
    );
    signal.throwIfAborted();
    const kept = transform ? items.map(transform) : items;
    for (const item of kept) this.#interner.share(item);
    this.#publish(this.#store.swap(kept));
    this.#progress(resourceVersion);
    this.#isCurrent = true;
    if (!this.#hasSynced) {
      this.#hasSynced = true;
      this.#firstList.resolve();
      this.#logger.debug('the first list is in the cache', { objects: this.#store.size });
    }
    return resourceVersion;
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { namespace, labelSelector, fieldSelector, idleMs = 90_000 } = this.#options;
    const { random = Math.random } = this.#options;
    let settling: { cancel(): void } | undefined;
    const settle = (): void => {
      settling = this.#clock.after(settleMs, () => (this.#isCurrent = true));
    };
    const events = watch<T>(this.#client, this.type, {
      namespace,
      labelSelector,
      fieldSelector,
      resourceVersion,
      timeoutSeconds: Math.round(watchSeconds.least + watchSeconds.more * random()),
      idleMs,
      signal,
      onOpen: settle,
    });
    try {
      for await (const event of events) {
        if (signal.aborted) return;
        this.#take(event);
      }
    } finally {
      settling?.cancel();
    }
  }

  #take(event: WatchEvent<T>): void {
    const version = event.object.metadata.resourceVersion;
    if (event.type !== 'BOOKMARK') {
      const object = this.#interner.share(this.#options.transform?.(event.object) ?? event.object);
      this.#publish(
        event.type === 'DELETED'
          ? this.#store.remove(keyOf(object), object)
          : this.#store.put(object),
      );
    }
    if (version !== undefined) this.#progress(version);
  }

  #progress(resourceVersion: string): void {
    this.#resourceVersion = resourceVersion;
    this.#lastProgress = this.#clock.monotonic();
    this.#failures = 0;
  }

  #delayAfter(error: unknown): number {
    const { backoff = { baseMs: 250, maxMs: 30_000 }, random } = this.#options;
    const failures = this.#failures++;
    this.#isCurrent = false;
    if (error instanceof GoneError) {
      this.#logger.info('the watch is too old, listing again', { error });
      this.#resourceVersion = undefined;
    } else {
      const level = failures < 3 ? 'info' : 'warn';
      this.#logger.log(level, 'the watch broke, resuming', { error, failures: failures + 1 });
    }
    if (error instanceof TooManyRequestsError) return error.retryAfterMs;
    return backoffMs(failures, { ...backoff, jitter: 0.5 }, random);
  }

  #publish(events: readonly CacheEvent<T>[]): void {
    for (const event of events) for (const handler of this.#handlers) this.#call(handler, event);
  }

  #call(handler: (event: CacheEvent<T>) => void, event: CacheEvent<T>): void {
    try {
      handler(event);
    } catch (error) {
      this.#logger.error('a handler threw', { event: event.type, key: keyOf(event.object), error });
    }
  }
}
