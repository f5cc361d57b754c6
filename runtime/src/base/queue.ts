/**
 * The work queue: keys that somebody has to look at, by priority and time.
 *
 * Guarantees:
 * - A key is out with one worker at a time; added meanwhile, it comes back after `done`. No add is ever lost.
 * - A key waits once, however often it is added: the earlier of two times and the higher of two priorities win.
 * - Higher priorities leave first; within one priority, who became ready first.
 * - Memory is bound by the number of distinct keys.
 * - After `shutDown`, adds are ignored, `take` gives undefined, and `drained` resolves when all that is out is done.
 * It runs nothing itself and never drops a key on its own.
 */
import type { Clock, Timer } from './clock.ts';
import { IndexedHeap } from './heap.ts';
import { type BackoffOptions, backoffMs } from './retry.ts';

export interface AddOptions {
  /** @default 0 */
  readonly afterMs?: number;
  /** Higher is sooner. @default 0 */
  readonly priority?: number;
}

/** What happens in a queue, for whoever counts. */
export interface QueueMetrics {
  /** Keys that are ready. */
  depth(ready: number): void;
  added(): void;
  retried(): void;
  /** Seconds from ready to taken. */
  taken(seconds: number): void;
  /** Seconds from taken to done. */
  done(seconds: number): void;
}

export interface QueueOptions {
  readonly clock: Clock;
  /** Of `retry`: 5 ms to 1000 s unless told. */
  readonly backoff?: BackoffOptions;
  readonly metrics?: QueueMetrics | undefined;
}

export interface Taken {
  readonly key: string;
  readonly priority: number;
  /** Failures in a row, as `retry` counted them. */
  readonly failures: number;
}

interface Entry {
  readonly key: string;
  priority: number;
  /** Monotonic milliseconds. */
  readyAt: number;
  order: number;
}

interface Out {
  readonly since: number;
  /** Added while out; enters when it is done. */
  again: Entry | undefined;
}

/** Longer timers overflow in Node and would fire at once. */
const longestDelayMs = 2 ** 31 - 1;

export class WorkQueue {
  readonly #clock: Clock;
  readonly #backoff: BackoffOptions;
  readonly #metrics: QueueMetrics | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #ready = new IndexedHeap<Entry>(
    (a, b) => a.priority > b.priority || (a.priority === b.priority && a.order < b.order),
  );
  readonly #waiting = new IndexedHeap<Entry>((a, b) => a.readyAt < b.readyAt);
  readonly #out = new Map<string, Out>();
  readonly #failures = new Map<string, number>();
  readonly #takers = new Set<(taken: Taken | undefined) => void>();
  readonly #drained = Promise.withResolvers<void>();
  #timer: { readonly at: number; readonly timer: Timer } | undefined;
  #order = 0;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#clock = options.clock;
    this.#backoff = options.backoff ?? {};
    this.#metrics = options.metrics;
  }

  /** Keys that wait or are ready; those out with a worker do not count. */
  get size(): number {
    return this.#entries.size;
  }

  /** Keys that could be taken now. */
  get ready(): number {
    return this.#ready.size;
  }

  /** Seconds that each key has been out. */
  ages = (): readonly number[] =>
    [...this.#out.values()].map(({ since }) => (this.#clock.monotonic() - since) / 1_000);

  add(key: string, options: AddOptions = {}): void {
    if (this.#closed) return;
    const { afterMs = 0, priority = 0 } = options;
    const readyAt = this.#clock.monotonic() + Math.min(longestDelayMs, Math.max(0, afterMs));
    this.#metrics?.added();
    const out = this.#out.get(key);
    const known = out ? out.again : this.#entries.get(key);
    const entry = known ?? { key, priority, readyAt, order: 0 };
    entry.priority = Math.max(entry.priority, priority);
    entry.readyAt = Math.min(entry.readyAt, readyAt);
    if (out) out.again = entry;
    else this.#place(entry);
  }

  /** Adds a key that failed: its delay doubles with each failure until `forget`. */
  retry(key: string, priority = 0): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#metrics?.retried();
    this.add(key, { afterMs: backoffMs(failures, this.#backoff), priority });
  }

  /** The key is well again. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /**
   * The next key, as soon as there is one; undefined once shut down. Call `done` for each key taken.
   * @throws the signal's reason when it aborts first; no key is lost then.
   */
  take(signal?: AbortSignal): Promise<Taken | undefined> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error);
    const taken = this.#next();
    if (taken || this.#closed) return Promise.resolve(taken);
    return new Promise((resolve, reject) => {
      const settle = (next: Taken | undefined): void => {
        this.#takers.delete(settle);
        signal?.removeEventListener('abort', onAbort);
        resolve(next);
      };
      const onAbort = (): void => {
        this.#takers.delete(settle);
        reject(signal?.reason as Error);
      };
      this.#takers.add(settle);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The worker is through with the key. */
  done(key: string): void {
    const out = this.#out.get(key);
    if (!out) throw new TypeError(`'${key}' was not taken`);
    this.#out.delete(key);
    this.#metrics?.done((this.#clock.monotonic() - out.since) / 1_000);
    if (out.again && !this.#closed) this.#place(out.again);
    if (this.#closed && this.#out.size === 0) this.#drained.resolve();
  }

  /** No more work: what waits is forgotten, what is out may end. */
  shutDown(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.timer.cancel();
    for (const entry of this.#entries.values()) {
      this.#ready.remove(entry);
      this.#waiting.remove(entry);
    }
    this.#entries.clear();
    this.#failures.clear();
    this.#metrics?.depth(0);
    for (const settle of [...this.#takers]) settle(undefined);
    if (this.#out.size === 0) this.#drained.resolve();
  }

  /** Resolves after `shutDown` when nothing is out any more. */
  get drained(): Promise<void> {
    return this.#drained.promise;
  }

  /** Puts an entry where it belongs now, out of where it was. */
  #place(entry: Entry): void {
    this.#entries.set(entry.key, entry);
    if (entry.readyAt > this.#clock.monotonic()) {
      this.#waiting.push(entry);
      this.#arm();
      return;
    }
    this.#waiting.remove(entry);
    if (!this.#ready.has(entry)) entry.order = this.#order++;
    this.#ready.push(entry);
    this.#handOut();
  }

  #handOut(): void {
    for (const settle of [...this.#takers]) {
      const taken = this.#next();
      if (!taken) break;
      settle(taken);
    }
    this.#metrics?.depth(this.#ready.size);
  }

  #next(): Taken | undefined {
    const entry = this.#ready.pop();
    if (!entry) return undefined;
    const now = this.#clock.monotonic();
    this.#entries.delete(entry.key);
    this.#out.set(entry.key, { since: now, again: undefined });
    this.#metrics?.taken(Math.max(0, now - entry.readyAt) / 1_000);
    this.#metrics?.depth(this.#ready.size);
    return {
      key: entry.key,
      priority: entry.priority,
      failures: this.#failures.get(entry.key) ?? 0,
    };
  }

  /** One timer, for the entry that becomes ready next. */
  #arm(): void {
    const first = this.#waiting.peek();
    if (this.#timer && (!first || this.#timer.at <= first.readyAt)) return;
    this.#timer?.timer.cancel();
    this.#timer = undefined;
    if (!first) return;
    const delayMs = Math.max(0, first.readyAt - this.#clock.monotonic());
    this.#timer = { at: first.readyAt, timer: this.#clock.after(delayMs, () => this.#wake()) };
  }

  #wake(): void {
    this.#timer = undefined;
    // A timer may fire a fraction of a millisecond early.
    const now = this.#clock.monotonic() + 1;
    for (let entry = this.#waiting.peek(); entry && entry.readyAt <= now;) {
      entry.readyAt = Math.min(entry.readyAt, this.#clock.monotonic());
      this.#place(entry);
      entry = this.#waiting.peek();
    }
    this.#arm();
  }
}
