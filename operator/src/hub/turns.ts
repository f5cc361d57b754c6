/**
 * Work that costs the region much a piece is done a few at a time, in the order in which it was asked for.
 *
 * Guarantees: never more than `atOnce` run and `waiting` wait, who comes beyond that is sent away at once;
 * who goes away while waiting costs nothing; work that fails frees its place.
 */
import { TooManyRequestsError } from '@cloudlet/runtime/base';

export interface TurnsOptions {
  readonly atOnce: number;
  readonly waiting: number;
  /** Told to those that find no place: when one is likely to be free again. */
  readonly retryAfterMs: number;
}

export class Turns {
  readonly #options: TurnsOptions;
  /** Starts what waits; a set keeps the order of arrival, and lets go of any of them. */
  readonly #row = new Set<() => void>();
  #running = 0;

  constructor(options: TurnsOptions) {
    this.#options = options;
  }

  /** @throws TooManyRequestsError when as many wait as may, the signal's reason when it aborts before the turn */
  async take<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(signal);
    try {
      return await work();
    } finally {
      // Handed on rather than given back, so that nobody who comes now is served before those who wait.
      const [next] = this.#row;
      if (next) next();
      else this.#running--;
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { atOnce, waiting, retryAfterMs } = this.#options;
    if (this.#running < atOnce) {
      this.#running++;
      return Promise.resolve();
    }
    if (this.#row.size >= waiting)
      throw new TooManyRequestsError(`${waiting} others wait already`, retryAfterMs);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#row.delete(start);
        reject(signal.reason as Error);
      };
      const start = (): void => {
        this.#row.delete(start);
        signal.removeEventListener('abort', leave);
        resolve();
      };
      this.#row.add(start);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
}
