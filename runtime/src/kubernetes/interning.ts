/**
 * One copy of what many cached objects say: names, reasons, messages, times. `JSON.parse` makes each anew, and
 * a cache of ten thousand AppInsts is a third of its size without the copies.
 *
 * Guarantees: values stay equal; memory is bounded, since the pool starts over when it is full: what is common
 * is soon in it again, what is unique costs nothing that lasts. Shares strings only, and writes into the object
 * that it is given: for objects that nobody else has seen yet.
 */
const mostStrings = 4_096;
/** Longer ones are seldom the same. */
const mostCharacters = 128;

export class Interner {
  readonly #pool = new Map<string, string>();

  /** Strings in the pool. */
  get size(): number {
    return this.#pool.size;
  }

  /** The same object, its strings replaced by equal ones that are shared. */
  share<T extends object>(object: T): T {
    const record = object as Record<string, unknown>;
    for (const key in record) {
      const value = record[key];
      if (typeof value === 'string') record[key] = this.text(value);
      else if (value !== null && typeof value === 'object') this.share(value);
    }
    return object;
  }

  /** The shared copy of a string. */
  text(value: string): string {
    if (value.length > mostCharacters) return value;
    const known = this.#pool.get(value);
    if (known !== undefined) return known;
    if (this.#pool.size >= mostStrings) this.#pool.clear();
    this.#pool.set(value, value);
    return value;
  }
}
