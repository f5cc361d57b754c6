/**
 * Slows one peer down: whoever reads it waits here until the peer is within its rates again.
 *
 * Guarantees: nothing is dropped and nothing is held but the one thing that was read; a peer within its
 * rates never waits, whatever others do; the wait ends with the connection.
 */
import type { Clock } from '@cloudlet/runtime/base';
import { TokenBucket, type Rate } from '../rate-limit.ts';

export class Throttle {
  readonly #buckets: readonly TokenBucket[];
  readonly #clock: Clock;
  readonly #onHeld: () => void;

  /** @param onHeld called for each time that the peer has to wait. */
  constructor(rates: readonly Rate[], clock: Clock, onHeld: () => void) {
    this.#buckets = rates.map((rate) => new TokenBucket(rate, clock));
    this.#clock = clock;
    this.#onHeld = onHeld;
  }

  /** Takes so much of each rate, and resolves when that is paid for, or at the end. */
  async pass(amounts: readonly number[], signal: AbortSignal): Promise<void> {
    const waits = this.#buckets.map((bucket, index) => bucket.spend(amounts[index] ?? 0));
    const waitMs = Math.max(...waits);
    if (waitMs === 0 || signal.aborted) return;
    this.#onHeld();
    await this.#clock.sleep(waitMs, signal).catch(() => undefined); // whoever reads sees the end
  }
}
