/**
 * The objects of one kind, with indexes, and what a change of them means to subscribers.
 *
 * Guarantees: `put`, `remove` and `swap` change the cache first and return the events after, in order; an object
 * that was deleted and made again under its name gives Deleted, then Added; the same resource version twice
 * gives nothing. Index functions see an object once; one that throws indexes the object under nothing.
 */
import { keyOf } from './paths.ts';
import type { Cache, CacheEvent, KubernetesObject, ObjectKey } from './types.ts';

export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

interface Entry<T> {
  readonly object: T;
  /** Index name and value, as they were when the object came in. */
  readonly indexed: readonly (readonly [index: string, value: string])[];
}

export class Store<T extends KubernetesObject> implements Cache<T> {
  readonly #entries = new Map<ObjectKey, Entry<T>>();
  readonly #indexes = new Map<string, Map<string, Map<ObjectKey, T>>>();
  readonly #functions: IndexFunctions<T>;
  readonly #onIndexError: (index: string, error: unknown) => void;
  #snapshot: readonly T[] | undefined;

  constructor(
    functions: IndexFunctions<T> = {},
    onIndexError: (index: string, error: unknown) => void = () => undefined,
  ) {
    this.#functions = functions;
    this.#onIndexError = onIndexError;
    for (const index of Object.keys(functions)) this.#indexes.set(index, new Map());
  }

  get(key: ObjectKey): T | undefined {
    return this.#entries.get(key)?.object;
  }

  list(): readonly T[] {
    this.#snapshot ??= Array.from(this.#entries.values(), ({ object }) => object);
    return this.#snapshot;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @throws TypeError for an index that nobody declared. */
  byIndex(index: string, value: string): readonly T[] {
    const values = this.#indexes.get(index);
    if (!values) throw new TypeError(`there is no index '${index}'`);
    return [...(values.get(value)?.values() ?? [])];
  }

  put(object: T, initial = false): readonly CacheEvent<T>[] {
    const key = keyOf(object);
    const old = this.#entries.get(key)?.object;
    if (old && old.metadata.uid === object.metadata.uid) {
      if (isSameVersion(old, object)) return [];
      this.#set(key, object);
      return [{ type: 'Updated', object, old, initial }];
    }
    this.#set(key, object);
    const added: CacheEvent<T> = { type: 'Added', object, initial };
    return old ? [{ type: 'Deleted', object: old }, added] : [added];
  }

  /** `last` is the object as it was at its end, where the server told. */
  remove(key: ObjectKey, last?: T): readonly CacheEvent<T>[] {
    const entry = this.#entries.get(key);
    if (!entry) return [];
    this.#unset(key, entry);
    return [{ type: 'Deleted', object: last ?? entry.object }];
  }

  /** Makes the cache hold exactly `objects`: a list instead of the events that were missed. */
  swap(objects: readonly T[]): readonly CacheEvent<T>[] {
    const present = new Set(objects.map(keyOf));
    const gone = [...this.#entries.keys()].filter((key) => !present.has(key));
    return [
      ...gone.flatMap((key) => this.remove(key)),
      ...objects.flatMap((object) => this.put(object, true)),
    ];
  }

  #set(key: ObjectKey, object: T): void {
    const old = this.#entries.get(key);
    if (old) this.#unset(key, old);
    const indexed = Object.keys(this.#functions).flatMap((index) =>
      this.#valuesOf(index, object).map((value) => [index, value] as const),
    );
    for (const [index, value] of indexed) {
      const values = this.#indexes.get(index);
      const objects = values?.get(value) ?? new Map<ObjectKey, T>();
      values?.set(value, objects.set(key, object));
    }
    this.#entries.set(key, { object, indexed });
    this.#snapshot = undefined;
  }

  #unset(key: ObjectKey, entry: Entry<T>): void {
    for (const [index, value] of entry.indexed) {
      const values = this.#indexes.get(index);
      const objects = values?.get(value);
      objects?.delete(key);
      if (objects?.size === 0) values?.delete(value);
    }
    this.#entries.delete(key);
    this.#snapshot = undefined;
  }

  #valuesOf(index: string, object: T): readonly string[] {
    try {
      return this.#functions[index]?.(object) ?? [];
    } catch (error) {
      this.#onIndexError(index, error);
      return [];
    }
  }
}

function isSameVersion(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}
