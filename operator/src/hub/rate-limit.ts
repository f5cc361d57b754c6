/** A token bucket a key, with a bounded number of keys: what is forgotten first has been idle longest. */
import type { Clock } from '@cloudlet/runtime/base';

export interface RateLimitOptions {
  readonly clock: Clock;
  /** Calls at once. */
  readonly burst: number;
  /** Calls a minute after that. */
  readonly perMinute: number;
  /** @default 10_000 */
  readonly maxKeys?: number;
}

export class RateLimit {
  readonly #options: RateLimitOptions;
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  constructor(options: RateLimitOptions) {
    this.#options = options;
  }

  /** Whether a call of `key` may pass now. */
  take(key: string): boolean {
    const { clock, burst, perMinute, maxKeys = 10_000 } = this.#options;
    const at = clock.monotonic();
    const old = this.#buckets.get(key);
    const refill = old ? ((at - old.at) / 60_000) * perMinute : 0;
    const tokens = Math.min(burst, (old?.tokens ?? burst) + refill);
    const isAllowed = tokens >= 1;
    this.#buckets.delete(key); // so that the order of the map is that of use
    this.#buckets.set(key, { tokens: isAllowed ? tokens - 1 : tokens, at });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > maxKeys && oldest !== undefined) this.#buckets.delete(oldest);
    return isAllowed;
  }
}
