/**
 * What of an object may leave a region in a support bundle. Pure.
 *
 * Guarantees: no value of a variable, no content of a file, compose or manifest, no argument of a program and
 * no annotation but ours; of a Secret nothing at all; what looks like a credential in any text is masked.
 * Names, shapes, references and conditions stay, since those are what a helper needs.
 */
import { apiGroup } from '@cloudlet/crds';

export const mask = '***';

/** Fields whose texts are people's own, wherever they stand. */
const maskedTexts: ReadonlySet<string> = new Set([
  'value',
  'content',
  'compose',
  'manifest',
  'values',
  'stringData',
  'data',
  'binaryData',
  'caBundle',
]);
/** Lists of words of which the first names a program. */
const programs: ReadonlySet<string> = new Set(['command']);
const argumentLists: ReadonlySet<string> = new Set(['args']);

export function redacted(object: unknown): unknown {
  return walk(object, '');
}

function walk(value: unknown, field: string): unknown {
  if (typeof value === 'string') return scrubbed(value);
  if (Array.isArray(value)) return value.map((item) => walk(item, field));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => name !== 'managedFields')
      .map(([name, inner]) => [name, member(name, inner, field)]),
  );
}

function member(name: string, value: unknown, parent: string): unknown {
  if (name === 'annotations') return annotationsOf(value);
  // A quota's and a node label's value is no text of people's.
  const isPlain = name === 'value' && (parent === 'resourceQuotas' || parent === 'nodeLabels');
  if (maskedTexts.has(name) && !isPlain) return masked(value);
  if (argumentLists.has(name) && Array.isArray(value)) return value.map(() => mask);
  if (programs.has(name) && Array.isArray(value))
    return value.map((word: unknown, index) => (index === 0 ? word : mask));
  return walk(value, name);
}

function masked(value: unknown): unknown {
  if (typeof value === 'string') return `${mask} (${value.length} characters)`;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.keys(value).map((name) => [name, mask]));
  return value;
}

function annotationsOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, text]) => [
      name,
      name.startsWith(`${apiGroup}/`) ? walk(text, name) : mask,
    ]),
  );
}

const credentials: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, mask],
  [/\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*/g, mask],
  [/\b(Bearer|Basic)\s+[\w+/=.~-]{8,}/gi, `$1 ${mask}`],
  [/(\/\/)[^/\s:@"]+:[^/\s@"]+@/g, `$1${mask}@`],
  [
    /(\b(?:password|passwd|token|apikey|api_key|secret)\\?["']?\s*[:=]\s*\\?["']?)[^\s"'\\,;}]+/gi,
    `$1${mask}`,
  ],
];

/** Masks what looks like a credential. */
export const scrubbed = (text: string): string =>
  credentials.reduce((rest, [pattern, by]) => rest.replace(pattern, by), text);
