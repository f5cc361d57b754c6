/**
 * A binary heap that knows where each item stands, so that any item can be taken out in O(log n).
 *
 * Guarantees: `pop` gives an item that no other is before; an item is in it at most once.
 */
export class IndexedHeap<T extends object> {
  readonly #items: T[] = [];
  readonly #positions = new Map<T, number>();
  readonly #isBefore: (a: T, b: T) => boolean;

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore;
  }

  get size(): number {
    return this.#items.length;
  }

  has(item: T): boolean {
    return this.#positions.has(item);
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** Adds an item, or moves it to its place after its order changed. */
  push(item: T): void {
    this.remove(item);
    this.#items.push(item);
    this.#positions.set(item, this.#items.length - 1);
    this.#rise(this.#items.length - 1);
  }

  pop(): T | undefined {
    const first = this.#items[0];
    if (first) this.remove(first);
    return first;
  }

  /** True if it was there. */
  remove(item: T): boolean {
    const position = this.#positions.get(item);
    if (position === undefined) return false;
    this.#positions.delete(item);
    const last = this.#items.pop() as T; // there is at least `item`
    if (last === item) return true;
    this.#put(last, position);
    this.#rise(position);
    this.#sink(this.#positions.get(last) as number);
    return true;
  }

  #put(item: T, position: number): void {
    this.#items[position] = item;
    this.#positions.set(item, position);
  }

  #rise(from: number): void {
    for (let position = from; position > 0;) {
      const parent = (position - 1) >> 1;
      if (!this.#swapIfBefore(position, parent)) return;
      position = parent;
    }
  }

  #sink(from: number): void {
    for (let position = from; ;) {
      const [left, right] = [2 * position + 1, 2 * position + 2];
      const child = this.#isLess(right, left) ? right : left;
      if (!this.#swapIfBefore(child, position)) return;
      position = child;
    }
  }

  #isLess(a: number, b: number): boolean {
    const [first, second] = [this.#items[a], this.#items[b]];
    return first !== undefined && second !== undefined && this.#isBefore(first, second);
  }

  #swapIfBefore(lower: number, upper: number): boolean {
    const [below, above] = [this.#items[lower], this.#items[upper]];
    if (!below || !above || !this.#isBefore(below, above)) return false;
    this.#put(below, upper);
    this.#put(above, lower);
    return true;
  }
}
