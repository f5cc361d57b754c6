/**
 * Writes the latest of each key: at most one write of a key is under way, at most `parallel` in all.
 *
 * Guarantees: a value that waits is replaced by a newer one of its key, and its caller is told so; keys
 * take turns in the order in which they came; memory is bounded by the number of keys.
 */
export type Written<R> =
  { readonly kind: 'written'; readonly result: R } | { readonly kind: 'superseded' };

interface Waiting<V, R> {
  readonly value: V;
  readonly resolve: (written: Written<R>) => void;
  readonly reject: (error: unknown) => void;
}

export class LatestWriter<V, R> {
  readonly #write: (key: string, value: V) => Promise<R>;
  readonly #parallel: number;
  readonly #waiting = new Map<string, Waiting<V, R>>();
  readonly #underWay = new Set<string>();

  constructor(parallel: number, write: (key: string, value: V) => Promise<R>) {
    this.#parallel = parallel;
    this.#write = write;
  }

  /** Values that wait or are being written. */
  get size(): number {
    return this.#waiting.size + this.#underWay.size;
  }

  put(key: string, value: V): Promise<Written<R>> {
    return new Promise((resolve, reject) => {
      const older = this.#waiting.get(key);
      older?.resolve({ kind: 'superseded' });
      // A replaced value keeps the place of its key in the queue.
      this.#waiting.set(key, { value, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    for (const [key, waiting] of this.#waiting) {
      if (this.#underWay.size >= this.#parallel) return;
      if (this.#underWay.has(key)) continue;
      this.#waiting.delete(key);
      this.#underWay.add(key);
      void this.#run(key, waiting);
    }
  }

  async #run(key: string, waiting: Waiting<V, R>): Promise<void> {
    try {
      waiting.resolve({ kind: 'written', result: await this.#write(key, waiting.value) });
    } catch (error) {
      waiting.reject(error);
    } finally {
      this.#underWay.delete(key);
      this.#next();
    }
  }
}
