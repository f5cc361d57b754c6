/**
 * A feed of observations from a driver's parts to the one that reads `observe`.
 *
 * Guarantees: latest wins, so a slow reader holds at most one entry an instance, one for the site and one
 * snapshot; order between instances is that of their first unread change; after `end` or `fail` what was
 * offered is still delivered, then the iteration ends or throws.
 */
import type { Observation } from './driver.ts';

export class ObservationFeed {
  #pending = new Map<string, Observation>();
  #wake: (() => void) | undefined;
  #ended = false;
  #error: unknown;

  offer(observation: Observation): void {
    if (this.#ended) return;
    if (observation.kind === 'Snapshot') this.#pending.clear();
    const key = keyOf(observation);
    this.#pending.delete(key);
    this.#pending.set(key, observation);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#error ??= error;
    this.end();
  }

  /** Entries that wait to be read. */
  get size(): number {
    return this.#pending.size;
  }

  /** Yields until the feed ends, fails or the signal aborts; an abort ends it without an error. */
  async *read(signal: AbortSignal): AsyncGenerator<Observation, void> {
    const onAbort = (): void => this.#wake?.();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const next = this.#take();
        if (next) yield next;
        else if (this.#ended) break;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#ended = true;
    }
    if (!signal.aborted && this.#error !== undefined) throw this.#error as Error;
  }

  #take(): Observation | undefined {
    const first = this.#pending.entries().next();
    if (first.done) return undefined;
    const [key, observation] = first.value;
    this.#pending.delete(key);
    return observation;
  }
}

/** A snapshot replaces all; a later change of an instance waits behind it. */
function keyOf(observation: Observation): string {
  switch (observation.kind) {
    case 'Snapshot':
      return 'snapshot';
    case 'Site':
      return 'site';
    case 'Instance':
      return `instance/${observation.instance.id}`;
    case 'Gone':
      return `instance/${observation.id}`;
  }
}
