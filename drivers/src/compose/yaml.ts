/**
 * YAML as `docker stack deploy` reads it: scalars are resolved by the rules of its parser, where `0440` is
 * octal, `yes` is text and `<<` merges.
 *
 * Guarantees: time and memory are bounded by the size of the text, whatever it holds (aliases are counted at
 * their full size); a key that is there twice is refused with its line; nothing but ComposeError is thrown.
 */
import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  parseDocument,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import { ComposeError, itemPath, keyPath } from './findings.ts';
import { goFloat } from './units.ts';

export type YamlMap = ReadonlyMap<string, Yaml>;
/** Whole numbers that a double cannot hold are bigint. */
export type Yaml = null | boolean | number | bigint | string | readonly Yaml[] | YamlMap;

export const yamlLimits = {
  /** Characters of a file; the API's own bound of `compose`. */
  maxLength: 262_144,
  /** Marks and words that the parser sees; what it does with a wrong one is dear. */
  maxTokens: 100_000,
  /** Values in a file, those that aliases repeat included. */
  maxValues: 50_000,
  maxDepth: 48,
} as const;

/** @throws ComposeError when the text is no YAML mapping within the limits. */
export function parseYaml(text: string): YamlMap {
  if (text.length > yamlLimits.maxLength)
    throw refused(
      '',
      `the file has ${text.length} characters; ${yamlLimits.maxLength} are allowed`,
    );
  refuseManyTokens(text);
  refuseDeepNesting(text);
  const value = new Reader(text).read(parseNodes(text), '', 0);
  if (!isYamlMap(value)) throw refused('', 'the top level must be a mapping with a key `services`');
  return value;
}

export function isYamlMap(value: Yaml | undefined): value is YamlMap {
  return value instanceof Map;
}

export function isYamlList(value: Yaml | undefined): value is readonly Yaml[] {
  return Array.isArray(value);
}

function refuseManyTokens(text: string): void {
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > yamlLimits.maxTokens)
      throw refused('', `the file has more than ${yamlLimits.maxTokens} marks and words`);
  }
}

/** Brackets that open at once, counted before the parser recurses into them. */
function refuseDeepNesting(text: string): void {
  let depth = 0;
  for (const char of text) {
    if (char === '[' || char === '{') depth += 1;
    else if (char === ']' || char === '}') depth = Math.max(0, depth - 1);
    if (depth > 500) throw tooDeep('');
  }
  let deepest = 0;
  for (const line of text.split('\n', 20_000)) {
    const dashes = /^[ \t]*((?:[-?:][ \t]+)*)/.exec(line)?.[1] ?? '';
    deepest = Math.max(deepest, dashes.length / 2);
  }
  if (deepest > 500) throw tooDeep('');
}

function parseNodes(text: string): Node | null {
  const document = parseText(text);
  const [error] = document.errors;
  if (error) {
    throw refused('', `line ${lineOf(text, error.pos[0])}: ${explain(error.code, error.message)}`);
  }
  return document.contents;
}

function parseText(text: string) {
  // The parser notes every error of a text, and most of the price of an error is its stack.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    // Scalars stay text here: what they mean, and whether a key is there twice, is decided below.
    return parseDocument(text, {
      schema: 'failsafe',
      uniqueKeys: false,
      logLevel: 'silent',
      prettyErrors: false,
    });
  } catch (error) {
    // The parser recurses, and says so only by the engine's own error.
    if (error instanceof RangeError) throw tooDeep('', error);
    throw new ComposeError([{ path: '', message: 'the file is not valid YAML' }], { cause: error });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function lineOf(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}

function explain(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'only one YAML document is allowed; remove `---`';
  return message;
}

class Reader {
  readonly #text: string;
  #values = 0;
  readonly #anchors = new Map<string, { value: Yaml; size: number } | undefined>();

  constructor(text: string) {
    this.#text = text;
  }

  read(node: unknown, path: string, depth: number): Yaml {
    if (depth > yamlLimits.maxDepth) throw tooDeep(path);
    this.#count(1, path);
    if (isAlias(node)) return this.#alias(node, path);
    const anchor = anchorOf(node);
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const before = this.#values;
    const value = this.#plain(node, path, depth);
    if (anchor !== undefined) this.#anchors.set(anchor, { value, size: this.#values - before });
    return value;
  }

  #plain(node: unknown, path: string, depth: number): Yaml {
    if (node === null || node === undefined) return null;
    if (isScalar(node)) return scalar(node, path);
    if (isSeq(node)) {
      refuseTag(node.tag, ['seq'], path);
      return node.items.map((item, index) => this.read(item, itemPath(path, index), depth + 1));
    }
    if (isMap(node)) {
      refuseTag(node.tag, ['map'], path);
      return this.#map(node, path, depth);
    }
    throw refused(path, 'this is not a value that YAML knows');
  }

  #map(node: YAMLMap, path: string, depth: number): YamlMap {
    const own = new Map<string, Yaml>();
    const merged: YamlMap[] = [];
    for (const pair of node.items) {
      const key = this.#key(pair.key, path);
      const value = this.read(pair.value, keyPath(path, key), depth + 1);
      if (key === '<<' && isPlain(pair.key)) merged.push(...this.#mergeable(value, path));
      else if (own.has(key)) throw this.#twice(pair.key, keyPath(path, key));
      else own.set(key, value);
    }
    if (merged.length === 0) return own;
    const all = new Map<string, Yaml>();
    for (const source of merged.reverse()) for (const [key, value] of source) all.set(key, value);
    this.#count(all.size, path);
    for (const [key, value] of own) all.set(key, value);
    return all;
  }

  #twice(key: unknown, path: string): ComposeError {
    const at = isScalar(key) ? key.range?.[0] : undefined;
    const where = at === undefined ? '' : `line ${lineOf(this.#text, at)}: `;
    return refused(path, `${where}the key is there twice; keep one of them`);
  }

  #key(key: unknown, path: string): string {
    if (isAlias(key)) {
      const value = this.#alias(key, path);
      if (typeof value === 'string') return value;
    }
    if (!isScalar(key)) throw refused(path, 'a key must be text');
    const anchor = anchorOf(key);
    const text = typeof key.value === 'string' ? key.value : String(key.value);
    if (anchor !== undefined) this.#anchors.set(anchor, { value: text, size: 1 });
    return text;
  }

  #mergeable(value: Yaml, path: string): readonly YamlMap[] {
    const sources = isYamlList(value) ? value : [value];
    return sources.map((source) => {
      if (!isYamlMap(source))
        throw refused(keyPath(path, '<<'), 'only mappings can be merged; name one by `*anchor`');
      return source;
    });
  }

  #alias(node: Alias, path: string): Yaml {
    const target = this.#anchors.get(node.source);
    if (!target) {
      const why = this.#anchors.has(node.source) ? 'refers to itself' : 'is not defined before it';
      throw refused(path, `the anchor of \`*${node.source.slice(0, 60)}\` ${why}`);
    }
    this.#count(target.size, path);
    return target.value;
  }

  #count(values: number, path: string): void {
    this.#values += values;
    if (this.#values > yamlLimits.maxValues)
      throw refused(
        path,
        `the file has more than ${yamlLimits.maxValues} values, aliases counted in full`,
      );
  }
}

function anchorOf(node: unknown): string | undefined {
  return isScalar(node) || isSeq(node) || isMap(node) ? node.anchor : undefined;
}

function isPlain(node: unknown): boolean {
  return isScalar(node) && (node.type === 'PLAIN' || node.type === undefined);
}

const tagPrefix = 'tag:yaml.org,2002:';

function refuseTag(tag: string | undefined, allowed: readonly string[], path: string): void {
  if (tag === undefined || allowed.some((name) => tag === tagPrefix + name)) return;
  throw refused(path, `the tag ${tag.slice(0, 60)} has no meaning here; remove it`);
}

function scalar(node: Scalar, path: string): Yaml {
  const text = typeof node.value === 'string' ? node.value : '';
  refuseTag(node.tag, ['str', 'int', 'float', 'bool', 'null'], path);
  if (node.tag === `${tagPrefix}str`) return text;
  if (isPlain(node) || (node.tag !== undefined && node.tag !== '!')) return resolvePlain(text);
  return text;
}

const float = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const integers: readonly [RegExp, string][] = [
  [/^([-+]?)((?:0|[1-9][0-9]*))$/, ''],
  [/^([-+]?)0[oO]?([0-7]+)$/, '0o'],
  [/^([-+]?)0[xX]([0-9a-fA-F]+)$/, '0x'],
  [/^([-+]?)0[bB]([01]+)$/, '0b'],
];

/** What an unquoted scalar means. */
export function resolvePlain(text: string): Yaml {
  if (text === '' || /^(~|null|Null|NULL)$/.test(text)) return null;
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  if (!/^[-+.0-9]/.test(text) || text.length > 64) return text;
  const digits = text.replaceAll('_', '');
  for (const [pattern, prefix] of integers) {
    const found = pattern.exec(digits);
    if (!found) continue;
    const magnitude = BigInt(`${prefix}${found[2]}`);
    if (magnitude >= 1n << 64n) return goFloat(Number(magnitude));
    const value = found[1] === '-' ? -magnitude : magnitude;
    const isSafe = magnitude <= BigInt(Number.MAX_SAFE_INTEGER);
    return isSafe ? Number(value) : value;
  }
  return float.test(digits) ? floatValue(Number(digits)) : text;
}

/** A whole number written as a float stays text where it would be written otherwise than an integer is. */
function floatValue(value: number): Yaml {
  return Number.isInteger(value) && Math.abs(value) >= 1e6 ? goFloat(value) : value;
}

function refused(path: string, message: string): ComposeError {
  return new ComposeError([{ path, message }]);
}

function tooDeep(path: string, cause?: unknown): ComposeError {
  return new ComposeError(
    [{ path, message: `the file is nested more than ${yamlLimits.maxDepth} levels deep` }],
    { cause },
  );
}
