/**
 * A value of the compose file with the path of its key: readers ask it for what they expect, and it notes
 * the mistake when something else is there.
 *
 * Guarantees: variables are filled in when text is read, and text that a variable changed may become a
 * number or a boolean; text that holds a secret is handed only to readers that said they keep it where
 * secrets may be; messages quote keys, never values.
 */
import { type Findings, itemPath, keyPath } from './findings.ts';
import { interpolate, type Variables } from './interpolate.ts';
import { goText } from './units.ts';
import { isYamlList, isYamlMap, type Yaml } from './yaml.ts';

export interface ReadContext {
  readonly findings: Findings;
  readonly variables: Variables;
}

/** Keys that a mapping may have; `ignored` and `refused` say why they do nothing or are not allowed. */
export interface KnownKeys {
  readonly known: readonly string[];
  readonly ignored?: Readonly<Record<string, string>>;
  readonly refused?: Readonly<Record<string, string>>;
}

type Scalar = { readonly value: Yaml; readonly isFilled: boolean };

export class Field {
  readonly value: Yaml;
  readonly path: string;
  readonly context: ReadContext;
  readonly #mayHoldSecrets: boolean;

  constructor(value: Yaml, path: string, context: ReadContext, mayHoldSecrets = false) {
    this.value = value;
    this.path = path;
    this.context = context;
    this.#mayHoldSecrets = mayHoldSecrets;
  }

  get isNull(): boolean {
    return this.value === null;
  }

  get isMap(): boolean {
    return isYamlMap(this.value);
  }

  get isList(): boolean {
    return isYamlList(this.value);
  }

  /** The same field for a reader that keeps its text where secrets may be. */
  forSecrets(): Field {
    return new Field(this.value, this.path, this.context, true);
  }

  /** Notes a mistake; returns undefined so that readers can return it. */
  wrong(message: string): undefined {
    this.context.findings.mistake(this.path, message);
    return undefined;
  }

  warn(message: string): void {
    this.context.findings.warn(this.path, message);
  }

  /** The members of a mapping; whatever is not in `keys` is a mistake, but for `x-` keys. */
  members(keys: KnownKeys): Members | undefined {
    if (!isYamlMap(this.value)) return this.wrong('must be a mapping of keys to values');
    const known = new Set(keys.known);
    for (const key of this.value.keys()) {
      if (known.has(key) || key.startsWith('x-')) continue;
      const path = keyPath(this.path, key);
      const ignored = own(keys.ignored, key);
      const refused = own(keys.refused, key);
      if (ignored !== undefined) this.context.findings.warn(path, ignored);
      else if (refused !== undefined) this.context.findings.mistake(path, refused);
      else this.context.findings.mistake(path, unknownKey(key, keys.known));
    }
    return new Members(this);
  }

  /** All entries of a mapping whose keys are names. */
  entries(): readonly (readonly [string, Field])[] {
    if (!isYamlMap(this.value)) {
      this.wrong('must be a mapping of keys to values');
      return [];
    }
    return [...this.value].map(([key, value]) => [
      key,
      this.#child(value, keyPath(this.path, key)),
    ]);
  }

  items(): readonly Field[] {
    if (!isYamlList(this.value)) {
      this.wrong('must be a list');
      return [];
    }
    return this.value.map((value, index) => this.#child(value, itemPath(this.path, index)));
  }

  text(): string | undefined {
    const scalar = this.#scalar();
    if (!scalar) return undefined;
    if (typeof scalar.value === 'string') return scalar.value;
    return this.wrong(
      scalar.value === null ? 'must be text, and is empty' : 'must be text: put it in quotes',
    );
  }

  /** Text, or a number or boolean as text: values of labels and variables. Null stays null. */
  looseText(): string | null | undefined {
    const scalar = this.#scalar();
    if (!scalar) return undefined;
    const { value } = scalar;
    if (value === null || typeof value === 'string') return value;
    if (typeof value === 'boolean')
      this.warn('`docker stack deploy` refuses true and false without quotes');
    return goText(value as boolean | number | bigint);
  }

  boolean(): boolean | undefined {
    const scalar = this.#scalar();
    if (!scalar) return undefined;
    if (typeof scalar.value === 'boolean') return scalar.value;
    if (scalar.isFilled && typeof scalar.value === 'string') {
      const word = scalar.value.toLowerCase();
      if (['y', 'yes', 'true', 'on'].includes(word)) return true;
      if (['n', 'no', 'false', 'off'].includes(word)) return false;
    }
    return this.wrong('must be true or false, without quotes');
  }

  integer(min = 0, max = Number.MAX_SAFE_INTEGER): number | undefined {
    const number = this.#number();
    if (number === undefined) return undefined;
    if (typeof number === 'bigint' || !Number.isInteger(number) || number < min || number > max)
      return this.wrong(`must be a whole number from ${min} to ${max}`);
    return number;
  }

  number(min: number, max: number): number | undefined {
    const number = this.#number();
    if (number === undefined) return undefined;
    if (typeof number === 'bigint' || !(number >= min && number <= max))
      return this.wrong(`must be a number from ${min} to ${max}`);
    return number;
  }

  /** Text or a number, as text: sizes, counts of CPUs, ports. */
  textOrNumber(): string | undefined {
    const scalar = this.#scalar();
    if (!scalar) return undefined;
    const { value } = scalar;
    if (typeof value === 'string') return value;
    if (typeof value === 'number' || typeof value === 'bigint') return goText(value);
    return this.wrong('must be text or a number');
  }

  /** One text or a list of texts. */
  texts(): readonly string[] {
    const fields = this.isList ? this.items() : [this];
    return fields.flatMap((field) => field.text() ?? []);
  }

  #number(): number | bigint | undefined {
    const scalar = this.#scalar();
    if (!scalar) return undefined;
    const { value, isFilled } = scalar;
    if (typeof value === 'number' || typeof value === 'bigint') return value;
    if (isFilled && typeof value === 'string' && /^[-+]?[0-9]+(\.[0-9]+)?$/.test(value))
      return Number(value);
    return this.wrong('must be a number, without quotes');
  }

  #scalar(): Scalar | undefined {
    const { value } = this;
    if (isYamlMap(value) || isYamlList(value))
      return this.wrong('must be a single value, and is a list or a mapping');
    if (typeof value !== 'string') return { value, isFilled: false };
    const result = interpolate(value, this.context.variables);
    if ('error' in result) return this.wrong(result.error);
    for (const name of result.missing)
      this.warn(`the variable ${name} is not set and counts as empty`);
    for (const name of result.unbraced)
      this.warn(`\`$${name}\` and what follows is read as a default; write \`\${${name}}\``);
    if (result.hasSecret && !this.#mayHoldSecrets)
      return this.wrong(
        'a secret variable may be used in environment, command, entrypoint, healthcheck and content only',
      );
    return { value: result.text, isFilled: result.changed };
  }

  #child(value: Yaml, path: string): Field {
    return new Field(value, path, this.context, this.#mayHoldSecrets);
  }
}

/** The members of a mapping whose keys were checked. */
export class Members {
  readonly field: Field;
  constructor(field: Field) {
    this.field = field;
  }

  /** The member, unless it is absent. An empty one counts as absent. */
  get(key: string): Field | undefined {
    const { value, path, context } = this.field;
    const member = isYamlMap(value) ? value.get(key) : undefined;
    if (member === undefined || member === null) return undefined;
    return new Field(member, keyPath(path, key), context);
  }

  has(key: string): boolean {
    return isYamlMap(this.field.value) && this.field.value.has(key);
  }

  text(key: string): string | undefined {
    return this.get(key)?.text();
  }

  boolean(key: string): boolean | undefined {
    return this.get(key)?.boolean();
  }
}

/** A member of `record` itself: a key such as `constructor` is none. */
function own(
  record: Readonly<Record<string, string>> | undefined,
  key: string,
): string | undefined {
  return record && Object.hasOwn(record, key) ? record[key] : undefined;
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = known.find((other) => isNear(key, other));
  const shown = near ? `did you mean \`${near}\`?` : `known are ${[...known].sort().join(', ')}`;
  return `no such key; ${shown}`;
}

/** Whether one is the other but for case, `-` and `_`, or one letter. */
function isNear(a: string, b: string): boolean {
  const plain = (text: string) => text.toLowerCase().replace(/[-_ ]/g, '');
  const [x, y] = [plain(a), plain(b)];
  if (x === y) return true;
  if (Math.abs(x.length - y.length) > 1 || x.length < 3) return false;
  let start = 0;
  while (start < x.length && x[start] === y[start]) start += 1;
  let end = 0;
  while (end < Math.min(x.length, y.length) - start && x.at(-1 - end) === y.at(-1 - end)) end += 1;
  return Math.max(x.length, y.length) - start - end <= 1;
}
