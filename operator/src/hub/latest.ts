/**
 * Writes the latest of each key: at most one write of a key is under way, at most `parallel` in all.
 *
 * Guarantees: a value that waits is replaced by a newer one of its key, and its caller is told so; groups
 * take turns, so that the keys of one never wait for more than one write of each other group; keys of a
 * group take turns in the order in which they came; memory is bounded by the number of keys.
 */
export type Written<R> =
  { readonly kind: 'written'; readonly result: R } | { readonly kind: 'superseded' };

interface Waiting<V, R> {
  readonly value: V;
  readonly resolve: (written: Written<R>) => void;
  readonly reject: (error: unknown) => void;
}

interface Next<V, R> {
  readonly key: string;
  readonly waiting: Waiting<V, R>;
}

export class LatestWriter<V, R> {
  readonly #write: (key: string, value: V) => Promise<R>;
  readonly #parallel: number;
  /** By group, then by key; the group whose turn it is comes first. */
  readonly #groups = new Map<string, Map<string, Waiting<V, R>>>();
  readonly #underWay = new Set<string>();

  constructor(parallel: number, write: (key: string, value: V) => Promise<R>) {
    this.#parallel = parallel;
    this.#write = write;
  }

  /** Values that wait or are being written. */
  get size(): number {
    return [...this.#groups.values()].reduce((sum, { size }) => sum + size, this.#underWay.size);
  }

  put(group: string, key: string, value: V): Promise<Written<R>> {
    return new Promise((resolve, reject) => {
      const waiting = this.#groups.get(group) ?? new Map<string, Waiting<V, R>>();
      this.#groups.set(group, waiting);
      waiting.get(key)?.resolve({ kind: 'superseded' });
      // A replaced value keeps the place of its key in the queue.
      waiting.set(key, { value, resolve, reject });
      this.#start();
    });
  }

  #start(): void {
    while (this.#underWay.size < this.#parallel) {
      const next = this.#take();
      if (!next) return;
      this.#underWay.add(next.key);
      void this.#run(next);
    }
  }

  #take(): Next<V, R> | undefined {
    for (const [group, waiting] of this.#groups)
      for (const [key, value] of waiting) {
        if (this.#underWay.has(key)) continue;
        waiting.delete(key);
        this.#groups.delete(group);
        if (waiting.size > 0) this.#groups.set(group, waiting); // behind the others
        return { key, waiting: value };
      }
    return undefined;
  }

  async #run({ key, waiting }: Next<V, R>): Promise<void> {
    try {
      waiting.resolve({ kind: 'written', result: await this.#write(key, waiting.value) });
    } catch (error) {
      waiting.reject(error);
    } finally {
      this.#underWay.delete(key);
      this.#start();
    }
  }
}
