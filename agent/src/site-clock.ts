/**
 * The clock of a site, whose machine may wake up in 1970.
 *
 * Guarantees: never starts before the last time that was known to be right; follows the region's time once
 * that is known and differs by more than a few seconds; durations and timers are the machine's own.
 */
import type { Clock, Timer } from '@cloudlet/runtime/base';
import type { AgentClock } from '@cloudlet/tunnel/agent';
import { maxSkewMs } from './report/site-report.ts';

export class SiteClock implements AgentClock {
  readonly #base: Clock;
  /** Added to the machine's time. */
  #offsetMs: number;

  constructor(base: Clock, lastGoodTime: number) {
    this.#base = base;
    this.#offsetMs = Math.max(0, lastGoodTime - base.now());
  }

  /**
   * Takes note of the region's time: `skewMs` is its clock minus this one.
   * @returns the region's clock minus the machine's own.
   */
  correct(skewMs: number): number {
    const machineSkewMs = this.#offsetMs + skewMs;
    this.#offsetMs = Math.abs(machineSkewMs) > maxSkewMs ? machineSkewMs : 0;
    return machineSkewMs;
  }

  /** Whether the machine's own time is not believed. */
  get isCorrected(): boolean {
    return this.#offsetMs !== 0;
  }

  now(): number {
    return this.#base.now() + this.#offsetMs;
  }

  /** Its own too, where the region's is another: a hub that tells the time may be the one that is wrong. */
  times(): readonly number[] {
    return this.isCorrected ? [this.now(), this.#base.now()] : [this.now()];
  }

  monotonic(): number {
    return this.#base.monotonic();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#base.sleep(ms, signal);
  }

  after(ms: number, callback: () => void): Timer {
    return this.#base.after(ms, callback);
  }
}
