/**
 * One copy of what many cached objects say: names, reasons, messages, times, and whole conditions, ports and
 * references. `JSON.parse` makes each anew, and a cache of ten thousand AppInsts is a third of its size without
 * the copies.
 *
 * Guarantees: values stay equal; memory is bounded: the pool of strings starts over when it is full, and of parts
 * (objects and lists of a few short values) the last few are remembered, so what is common is soon found again
 * and what is unique costs nothing that lasts; writes into the object that it is given: for objects that nobody else has seen yet, and that
 * nobody changes from then on.
 */
const mostStrings = 4_096;
/** Longer ones are seldom the same. */
const mostCharacters = 128;
/** Fields of different names that parts are remembered of. */
const mostNames = 128;
/** Parts that are remembered of each: what comes in bursts, such as conditions, comes like those just before. */
const mostParts = 16;
/** A part that has more fields, or a string too long to be shared, is seldom the same: Secrets, files. */
const mostFields = 16;

type Part = Record<string, unknown>;

/** The last parts of fields of one name, each with its values beside it; the oldest gives way. */
interface Recent {
  readonly parts: Part[];
  readonly values: (readonly unknown[])[];
  next: number;
}

export class Interner {
  readonly #strings = new Map<string, string>();
  readonly #recent = new Map<string, Recent>();

  /** Strings in the pool. */
  get size(): number {
    return this.#strings.size;
  }

  /** The same object, its parts replaced by equal ones that are shared. */
  share<T extends object>(object: T): T {
    this.#shareIn(object as Part, '');
    return object;
  }

  /** The shared copy of a string. */
  text(value: string): string {
    if (value.length > mostCharacters) return value;
    const known = this.#strings.get(value);
    if (known !== undefined) return known;
    if (this.#strings.size >= mostStrings) this.#strings.clear();
    this.#strings.set(value, value);
    return value;
  }

  /** @returns whether the object holds nothing deeper, and not much. */
  #shareIn(object: Part, name: string): boolean {
    let isSmall = true;
    let fields = 0;
    for (const key in object) {
      const value = object[key];
      if (typeof value === 'string') {
        object[key] = this.text(value);
        if (value.length > mostCharacters) isSmall = false;
      } else if (value !== null && typeof value === 'object') {
        isSmall = false;
        // The items of a list are of its name.
        object[key] = this.#part(value as Part, Array.isArray(object) ? name : key);
      }
      fields++;
    }
    return isSmall && fields <= mostFields;
  }

  #part(part: Part, name: string): Part {
    if (!this.#shareIn(part, name)) return part;
    let recent = this.#recent.get(name);
    if (!recent) {
      if (this.#recent.size >= mostNames) return part;
      this.#recent.set(name, (recent = { parts: [], values: [], next: 0 }));
    }
    const values = Object.values(part);
    const at = recent.values.findIndex((known) => areSame(known, values));
    const known = recent.parts[at];
    if (known && hasSameNames(known, part)) return known;
    recent.parts[recent.next] = part;
    recent.values[recent.next] = values;
    recent.next = (recent.next + 1) % mostParts;
    return part;
  }
}

/** A list and an object may have the same values. */
const hasSameNames = (one: Part, other: Part): boolean =>
  Array.isArray(one) === Array.isArray(other) && areSame(Object.keys(one), Object.keys(other));

function areSame(some: readonly unknown[], others: readonly unknown[]): boolean {
  if (some.length !== others.length) return false;
  for (let at = 0; at < some.length; at++) if (some[at] !== others[at]) return false;
  return true;
}
