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
  /** Index name and value in turn, as they were when the object came in: one array is the smallest there is. */
  readonly indexed: readonly string[];
}

/** What an index has under a value. Most values are of one object, and a map for it would be a tenth of its size. */
type Bucket<T> = T | Map<ObjectKey, T>;

export class Store<T extends KubernetesObject> implements Cache<T> {
  readonly #entries = new Map<ObjectKey, Entry<T>>();
  readonly #indexes = new Map<string, Map<string, Bucket<T>>>();
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
    const bucket = values.get(value);
    if (bucket === undefined) return [];
    return bucket instanceof Map ? [...bucket.values()] : [bucket];
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
    const indexed: string[] = [];
    for (const [index, values] of this.#indexes)
      for (const value of this.#valuesOf(index, object)) {
        indexed.push(index, value);
        addTo(values, value, key, object);
      }
    this.#entries.set(key, { object, indexed });
    this.#snapshot = undefined;
  }

  #unset(key: ObjectKey, entry: Entry<T>): void {
    for (let at = 0; at < entry.indexed.length; at += 2)
      takeFrom(this.#indexes.get(entry.indexed[at] ?? ''), entry.indexed[at + 1] ?? '', key);
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

function addTo<T extends KubernetesObject>(
  values: Map<string, Bucket<T>>,
  value: string,
  key: ObjectKey,
  object: T,
): void {
  const bucket = values.get(value);
  if (bucket instanceof Map) bucket.set(key, object);
  else if (bucket === undefined || keyOf(bucket) === key) values.set(value, object);
  else
    values.set(
      value,
      new Map([
        [keyOf(bucket), bucket],
        [key, object],
      ]),
    );
}

function takeFrom<T>(
  values: Map<string, Bucket<T>> | undefined,
  value: string,
  key: ObjectKey,
): void {
  const bucket = values?.get(value);
  if (bucket instanceof Map) bucket.delete(key);
  if (!(bucket instanceof Map) || bucket.size === 0) values?.delete(value);
}

function isSameVersion(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}
