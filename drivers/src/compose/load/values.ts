/** Readers of values that several keys share: durations, sizes, labels, lists of `key=value`. */
import type { Strings } from '../engine.ts';
import type { Field, KnownKeys, Members } from '../field.ts';
import { bytes, nanoCpus, nanoseconds, shellWords } from '../units.ts';

export function duration(field: Field | undefined): number | undefined {
  const text = field?.text();
  if (text === undefined || !field) return undefined;
  const value = nanoseconds(text);
  if (value === undefined)
    return field.wrong('must be a duration such as "30s", "1m30s" or "500ms"');
  return value < 0 ? field.wrong('must not be negative') : value;
}

export function size(field: Field | undefined): number | undefined {
  const text = field?.textOrNumber();
  if (text === undefined || !field) return undefined;
  return bytes(text) ?? field.wrong('must be a size in bytes or with a unit, such as "512M"');
}

export function cpus(field: Field | undefined): number | undefined {
  if (!field) return undefined;
  if (typeof field.value === 'number')
    field.warn('`docker stack deploy` wants the number in quotes');
  const text = field.textOrNumber();
  if (text === undefined) return undefined;
  return (
    nanoCpus(text) ?? field.wrong('must be a number of CPUs with at most 9 decimals, such as "0.5"')
  );
}

/** One of `allowed`, the first of which is the default where the key is absent. */
export function choice<T extends string>(
  field: Field | undefined,
  allowed: readonly T[],
): T | undefined {
  const text = field?.text();
  if (text === undefined || !field) return undefined;
  const found = allowed.find((value) => value === text);
  return found ?? field.wrong(`must be one of ${allowed.filter(Boolean).join(', ')}`);
}

/** A list or one text that is split as a shell would. */
export function command(field: Field | undefined): readonly string[] {
  if (!field) return [];
  const secretField = field.forSecrets();
  if (secretField.isList) return secretField.texts();
  const text = secretField.text();
  if (text === undefined) return [];
  return shellWords(text) ?? field.wrong('has a quote that is not closed') ?? [];
}

/** A mapping, or a list of `key=value`. Null: named without a value. */
export function pairs(field: Field | undefined): ReadonlyMap<string, string | null> {
  const result = new Map<string, string | null>();
  if (!field) return result;
  if (!field.isList) {
    for (const [key, value] of field.entries()) {
      const text = value.looseText();
      if (text !== undefined) result.set(key, text);
    }
    return result;
  }
  for (const item of field.items()) {
    const text = item.text();
    if (text === undefined) continue;
    const at = text.indexOf('=');
    result.set(at < 0 ? text : text.slice(0, at), at < 0 ? null : text.slice(at + 1));
  }
  return result;
}

/** As `pairs`, with nothing for what has no value. */
export function strings(field: Field | undefined): Strings {
  return fromEntries([...pairs(field)].map(([key, value]) => [key, value ?? '']));
}

/** A mapping of texts and numbers, such as a driver's options. */
export function options(field: Field | undefined): Strings | undefined {
  if (!field) return undefined;
  return fromEntries(field.entries().map(([key, value]) => [key, value.looseText() ?? '']));
}

/** An object without a prototype's members: a label may be called `__proto__`. */
export function fromEntries(entries: readonly (readonly [string, string])[]): Strings {
  return Object.fromEntries(entries);
}

/** Reads each entry of a section, and notes names that are none. */
export function section<T>(
  field: Field | undefined,
  read: (name: string, field: Field) => T | undefined,
): ReadonlyMap<string, T> {
  const result = new Map<string, T>();
  for (const [name, entry] of field?.entries() ?? []) {
    if (name.startsWith('x-') && !entry.isMap) continue;
    if (!/^[a-zA-Z0-9._-]{1,200}$/.test(name)) {
      entry.wrong('is no name: use letters, digits, `.`, `_` and `-`');
      continue;
    }
    const value = read(name, entry);
    if (value !== undefined) result.set(name, value);
  }
  return result;
}

/** `external: true`, or the older `external: {name: x}`. */
export function externalOf(members: Members): { external: boolean; name: string } {
  const name = members.text('name') ?? '';
  const external = members.get('external');
  if (!external) return { external: false, name };
  if (!external.isMap) return { external: external.boolean() ?? false, name };
  const inner = external.members({ known: ['name'] })?.text('name') ?? '';
  if (name && inner)
    external.wrong('names the object a second time: keep `name`, write `external: true`');
  return { external: true, name: name || inner };
}

/** The members of a mapping that may be empty. */
export function optionalMembers(field: Field, keys: KnownKeys): Members | undefined {
  return field.isNull ? undefined : field.members(keys);
}
