/**
 * Keeps controllers from acting on caches that do not follow the server.
 *
 * After an outage the API server may take writes seconds before it takes watches or lists. Whoever leads then
 * would undo, by what he remembers, what others did meanwhile.
 *
 * Guarantees: `wait` returns at once while all caches follow; otherwise when they do again, or the signal aborts.
 * A wait that is long is told once, with the kinds that it is for.
 */
import type { Clock, Logger } from '../base/index.ts';
import type { Informer, KubernetesObject } from './types.ts';

export interface CurrentCachesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly informers: readonly Pick<Informer<KubernetesObject>, 'type' | 'isCurrent'>[];
}

const lookMs = 50;
const tellMs = 5_000;

export class CurrentCaches {
  readonly #options: CurrentCachesOptions;
  /** Shared by all who wait. */
  #waiting: Promise<void> | undefined;

  constructor(options: CurrentCachesOptions) {
    this.#options = options;
  }

  /** Kinds whose caches do not follow the server. */
  get behind(): readonly string[] {
    return this.#options.informers
      .filter(({ isCurrent }) => !isCurrent)
      .map(({ type }) => type.plural);
  }

  get areCurrent(): boolean {
    return this.#options.informers.every(({ isCurrent }) => isCurrent);
  }

  /** @param signal of the run: all who wait have the same. */
  async wait(signal: AbortSignal): Promise<void> {
    if (this.areCurrent || signal.aborted) return;
    await (this.#waiting ??= this.#untilCurrent(signal).finally(() => (this.#waiting = undefined)));
  }

  async #untilCurrent(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const since = clock.monotonic();
    let isTold = false;
    while (!this.areCurrent && !signal.aborted) {
      if (!isTold && clock.monotonic() - since >= tellMs) {
        isTold = true;
        logger.warn('nothing is reconciled: caches do not follow the API server', {
          behind: this.behind.join(),
        });
      }
      await clock.sleep(lookMs, signal).catch(() => undefined); // the loop sees the abort
    }
    if (isTold && !signal.aborted) logger.info('the caches follow the API server again');
  }
}
