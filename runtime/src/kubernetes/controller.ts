/**
 * The controller: keys in, reconciles out, level-triggered.
 *
 * Guarantees: a key is with one worker at a time; what `reconcile` throws never ends the controller, and
 * `policyOf` alone decides whether and when the key comes back; a reconcile that outlives its time is told by
 * its signal, and its key stays with it until it really ends; objects of a list, what a change concerns by the
 * dozen, and what changed long before the first run (a standby's), come at low priority, other changes at a
 * higher one, and a key keeps its priority when it comes back; every object that is watched is looked at when
 * the run begins and again once in `resyncMs`, spread out by its key. It knows no kind and no event types.
 */
import { setImmediate } from 'node:timers/promises';
import type { Registry } from 'prom-client';
import {
  type Clock,
  DeadlineError,
  type Logger,
  type Taken,
  WorkQueue,
  contentHash,
  policyOf,
  systemClock,
} from '../base/index.ts';
import type { CurrentCaches } from './current.ts';
import {
  type ControllerMetrics,
  type ReconcileResult,
  controllerMetrics,
  queueMetrics,
} from './metrics.ts';
import {
  type CacheEvent,
  type Controller,
  type ControllerOptions,
  type Informer,
  type KubernetesObject,
  type ObjectKey,
  type Outcome,
  priorities,
} from './types.ts';

export interface ControllerDependencies {
  /** @default systemClock */
  readonly clock?: Clock;
  readonly metrics?: Registry;
  /** After the run's signal aborts, reconciles under way have so long before theirs does. @default 25_000 */
  readonly graceMs?: number;
  /** While these do not follow the server nothing is reconciled. */
  readonly caches?: Pick<CurrentCaches, 'wait'> | undefined;
}

const defaultResyncMs = 10 * 60 * 60_000;
const defaultTimeoutMs = 2 * 60_000;
/** The resync of a period comes in so many parts. */
const resyncSlices = 20;
/** So many reconciles of all workers follow each other, some milliseconds, before the event loop has its turn. */
const mostInARow = 32;
/** A change that concerns more keys than this must not keep others' changes waiting. */
const mostFresh = 32;
/** What changed so long before the first run was seen by the leader before: longer than its Lease lasts. */
const seenByOthersMs = 20_000;
/** So long a standby remembers the changes of what may be no more by the time that it leads. */
const rememberedMs = 10 * 60_000;

export function createController(
  options: ControllerOptions,
  dependencies: ControllerDependencies = {},
): Controller {
  return new QueueController(options, dependencies);
}

class QueueController implements Controller {
  readonly name: string;
  readonly #options: ControllerOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #queue: WorkQueue;
  readonly #metrics: ControllerMetrics | undefined;
  readonly #graceMs: number;
  readonly #caches: Pick<CurrentCaches, 'wait'> | undefined;
  /** One a watch: the keys of all that it holds now. */
  readonly #sources: (() => Iterable<ObjectKey>)[] = [];
  /** One a reconcile under way. (`AbortSignal.any` on a signal that lives long costs more with each use.) */
  readonly #underWay = new Set<AbortController>();
  /** Until the first run, which a standby waits for: when each key was last changed, the latest last. */
  #changed: Map<ObjectKey, number> | undefined = new Map();
  #runs = 0;
  #inARow = 0;
  #pause: Promise<void> | undefined;

  constructor(options: ControllerOptions, dependencies: ControllerDependencies) {
    const { clock = systemClock, metrics, graceMs = 25_000, caches } = dependencies;
    this.name = options.name;
    this.#options = options;
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#caches = caches;
    this.#logger = options.logger.with({ controller: options.name });
    const counting = metrics && queueMetrics(metrics, options.name);
    this.#queue = new WorkQueue({ clock, metrics: counting });
    counting?.observe(this.#queue);
    this.#metrics = metrics && controllerMetrics(metrics, options.name, options.workers ?? 1);
  }

  watches<T extends KubernetesObject>(
    informer: Informer<T>,
    keysOf: (object: T, event: CacheEvent<T>) => readonly ObjectKey[],
  ): void {
    informer.subscribe((event) => {
      const initial = event.type !== 'Deleted' && event.initial;
      // What an object pointed at before a change has lost it, and wants to know.
      const before = event.type === 'Updated' ? keysOf(event.old, event) : [];
      const keys = new Set([...keysOf(event.object, event), ...before]);
      const isFlood = initial || keys.size > mostFresh;
      for (const key of keys) this.#noteChange(key, isFlood);
    });
    this.#sources.push(function* () {
      for (const object of informer.cache.list())
        yield* keysOf(object, { type: 'Added', object, initial: true });
    });
  }

  #noteChange(key: ObjectKey, isFlood: boolean): void {
    if (!this.#changed)
      return this.enqueue(key, { priority: isFlood ? priorities.low : priorities.fresh });
    if (isFlood) return; // at low priority everything is looked at when the run begins
    const now = this.#clock.monotonic();
    this.#changed.delete(key);
    this.#changed.set(key, now);
    for (const [oldest, at] of this.#changed) {
      if (now - at <= rememberedMs) break;
      this.#changed.delete(oldest);
    }
  }

  /** All that a standby saw changing would else keep waiting what the last leader left. */
  #begin(): void {
    const changed = this.#changed ?? new Map<ObjectKey, number>();
    this.#changed = undefined;
    const recent = this.#clock.monotonic() - seenByOthersMs;
    for (const [key, at] of changed) this.#noteChange(key, at < recent);
    for (const key of this.#allKeys()) this.#noteChange(key, true);
  }

  /** Of all that the watches hold now. */
  #allKeys(): ReadonlySet<ObjectKey> {
    return new Set(this.#sources.flatMap((keys) => [...keys()]));
  }

  enqueue(
    key: ObjectKey,
    options: { readonly afterMs?: number; readonly priority?: number } = {},
  ): void {
    this.#queue.add(key, { priority: priorities.fresh, ...options });
  }

  async run(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return this.#queue.shutDown();
    this.#begin();
    const workers = Array.from({ length: this.#options.workers ?? 1 }, () => this.#work(signal));
    const resync = this.#resync(signal);
    const onAbort = (): void => {
      this.#queue.shutDown();
      const late = new DeadlineError(`${this.name}: the shutdown's grace is over`);
      grace = this.#clock.after(this.#graceMs, () => {
        for (const controller of this.#underWay) controller.abort(late);
      });
    };
    let grace: { cancel(): void } | undefined;
    signal.addEventListener('abort', onAbort, { once: true });
    await Promise.all([...workers, resync]);
    grace?.cancel();
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      const taken = await this.#queue.take();
      if (!taken) return;
      try {
        await this.#breathe();
        await this.#caches?.wait(signal);
        if (!signal.aborted) await this.#reconcile(taken);
      } finally {
        this.#queue.done(taken.key);
      }
    }
  }

  /** A flood of reconciles would keep timers, watches, the Lease and others' answers from their turn. */
  async #breathe(): Promise<void> {
    this.#inARow = this.#queue.ready === 0 ? 0 : this.#inARow + 1;
    if (!this.#pause && this.#inARow < mostInARow) return;
    // One for all workers: each with its own would begin a row of its own behind it.
    this.#pause ??= setImmediate().then(() => {
      this.#inARow = 0;
      this.#pause = undefined;
    });
    await this.#pause;
  }

  async #reconcile(taken: Taken): Promise<void> {
    const started = this.#clock.monotonic();
    const logger = this.#logger.with({ object: taken.key, reconcileId: `${++this.#runs}` });
    this.#metrics?.started();
    let result: ReconcileResult;
    try {
      result = this.#comeBack(taken, await this.#call(taken, logger));
    } catch (error) {
      result = this.#comeBackAfter(taken, error, logger);
    }
    const ms = this.#clock.monotonic() - started;
    this.#metrics?.ended(result, ms / 1_000);
    logger.debug('reconcile', { result, ms: Math.round(ms) });
  }

  /** @throws what `reconcile` threw, or DeadlineError if its time ran out and it did not succeed even so. */
  async #call(taken: Taken, logger: Logger): Promise<Outcome> {
    const { timeoutMs = defaultTimeoutMs, reconcile } = this.#options;
    const controller = new AbortController();
    const { signal } = controller;
    const timer = this.#clock.after(timeoutMs, () => {
      this.#metrics?.failed('timeout');
      controller.abort(
        new DeadlineError(`${this.name}: ${taken.key} took longer than ${timeoutMs} ms`),
      );
    });
    this.#underWay.add(controller);
    try {
      return await reconcile({ key: taken.key, signal, logger, attempt: taken.failures });
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      this.#underWay.delete(controller);
      timer.cancel();
    }
  }

  #comeBack({ key, priority }: Taken, outcome: Outcome): ReconcileResult {
    this.#queue.forget(key);
    if (outcome.kind === 'done') return 'success';
    this.#queue.add(key, { afterMs: outcome.afterMs, priority });
    return 'requeue_after';
  }

  #comeBackAfter({ key, priority }: Taken, error: unknown, logger: Logger): ReconcileResult {
    const policy = policyOf(error);
    logger.log(policy.log, 'reconcile failed', { reason: policy.reason, error });
    if (isProgrammingError(error)) this.#metrics?.failed('panic');
    if (policy.retry === 'never') {
      this.#metrics?.failed('terminal');
      this.#queue.forget(key);
      return 'error';
    }
    if (policy.retry === 'backoff') {
      this.#queue.retry(key, priority);
      return 'error';
    }
    this.#queue.forget(key);
    this.#queue.add(key, { afterMs: policy.retry, priority });
    return 'requeue_after';
  }

  /** Looks at a slice of all keys at a time, so that a period's resync never comes as one flood. */
  async #resync(signal: AbortSignal): Promise<void> {
    const sliceMs = (this.#options.resyncMs ?? defaultResyncMs) / resyncSlices;
    for (let slice = 0; ; slice = (slice + 1) % resyncSlices) {
      await this.#clock.sleep(sliceMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      for (const key of this.#allKeys()) {
        const place = placeOf(key);
        if (place.slice !== slice) continue;
        this.enqueue(key, { afterMs: place.part * sliceMs, priority: priorities.low });
      }
    }
  }
}

/** Which slice of a period a key belongs to, and where in it: always the same. */
function placeOf(key: ObjectKey): { readonly slice: number; readonly part: number } {
  const place = (parseInt(contentHash(key, 8), 16) / 2 ** 32) * resyncSlices;
  return { slice: Math.floor(place), part: place % 1 };
}

/** What a Go controller would call a panic. */
function isProgrammingError(error: unknown): boolean {
  return (
    !(error instanceof Error) ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  );
}
