/**
 * Reports of one link on their way into the region.
 *
 * Guarantees: at most one report of an object is with the backend, and `maxReportsInFlight` in all; a later
 * report of an object replaces the one that waits, which is told as dropped; every report is answered once,
 * after the backend's own answer; a backend that fails is answered as Retry.
 */
import { describeError, type Clock, type Logger, type Timer } from '@cloudlet/runtime/base';
import { TokenBucket, type Rate } from '../rate-limit.ts';
import { limits } from '../wire.ts';
import type { ReportResult } from './backend.ts';

export interface ReportIntakeOptions {
  readonly rate: Rate;
  /** From here on `hasRoom` is false; the caller stops reading. */
  readonly maxWaiting: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly answer: (n: number, result: ReportResult) => void;
  /** Called when the reader has to wait. */
  readonly held?: (() => void) | undefined;
  readonly observe?: ((result: string, seconds: number) => void) | undefined;
  /** Ends everything. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly n: number;
  readonly apply: () => Promise<ReportResult>;
}

export class ReportIntake {
  readonly #options: ReportIntakeOptions;
  readonly #bucket: TokenBucket;
  readonly #waiting = new Map<string, Waiting>();
  readonly #inFlight = new Set<string>();
  #timer: Timer | undefined;
  #onRoom: (() => void) | undefined;

  constructor(options: ReportIntakeOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.rate, options.clock);
    options.signal.addEventListener('abort', () => this.#end(), { once: true });
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Resolves when fewer than `maxWaiting` wait, or at the end. */
  async room(): Promise<void> {
    const { maxWaiting, held, signal } = this.#options;
    if (this.#waiting.size >= maxWaiting) held?.();
    while (this.#waiting.size >= maxWaiting && !signal.aborted)
      await new Promise<void>((resolve) => (this.#onRoom = resolve));
  }

  offer(key: string, n: number, apply: () => Promise<ReportResult>): void {
    const replaced = this.#waiting.get(key);
    if (replaced)
      this.#options.answer(replaced.n, {
        result: 'Dropped',
        message: 'a later report replaced it',
      });
    this.#waiting.set(key, { n, apply });
    this.#start();
  }

  #start(): void {
    this.#timer?.cancel();
    if (this.#options.signal.aborted) return;
    for (const [key, waiting] of this.#waiting) {
      if (this.#inFlight.size >= limits.maxReportsInFlight) break;
      if (this.#inFlight.has(key)) continue;
      if (!this.#bucket.tryTake()) {
        this.#timer = this.#options.clock.after(this.#bucket.waitMs, () => this.#start());
        break;
      }
      this.#waiting.delete(key);
      this.#inFlight.add(key);
      void this.#carry(key, waiting);
    }
    this.#tellRoom();
  }

  async #carry(key: string, { n, apply }: Waiting): Promise<void> {
    const { clock, logger, observe, answer, signal } = this.#options;
    const start = clock.monotonic();
    let result: ReportResult;
    try {
      result = await apply();
    } catch (error) {
      if (!signal.aborted) logger.warn('report failed', { report: key, error });
      result = { result: 'Retry', message: describeError(error).slice(0, 1024) };
    }
    this.#inFlight.delete(key);
    if (signal.aborted) return;
    observe?.(result.result, (clock.monotonic() - start) / 1000);
    answer(n, result);
    this.#start();
  }

  #end(): void {
    this.#timer?.cancel();
    this.#waiting.clear();
    this.#tellRoom();
  }

  #tellRoom(): void {
    const onRoom = this.#onRoom;
    this.#onRoom = undefined;
    onRoom?.();
  }
}
