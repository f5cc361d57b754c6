/**
 * Texts with a unit or a grammar of their own: durations, sizes, CPUs, commands, images. Each reader returns
 * undefined for what it does not know; the caller names the key and the remedy.
 */
const durationUnits: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** A duration such as `1m30s` or `500ms`, in nanoseconds. */
export function nanoseconds(text: string): number | undefined {
  const body = text.length <= 100 ? /^([-+]?)(.+)$/.exec(text) : null;
  if (!body?.[2]) return undefined;
  if (body[2] === '0') return 0;
  const part = /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/y;
  let total = 0n;
  while (part.lastIndex < body[2].length) {
    const found = part.exec(body[2]);
    if (!found || (!found[1] && !found[2])) return undefined;
    const unit = durationUnits[found[3] ?? ''] ?? 0n;
    const fraction = (found[2] ?? '').slice(0, 18);
    total += BigInt(found[1] || 0) * unit;
    if (fraction) total += (BigInt(fraction) * unit) / 10n ** BigInt(fraction.length);
  }
  const signed = body[1] === '-' ? -total : total;
  const limit = 1n << 63n;
  return signed < limit && signed >= -limit ? Number(signed) : undefined;
}

/** A size such as `512M`, `1.5gb` or `100`, in bytes; units are powers of 1024. */
export function bytes(text: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?) ?(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text);
  if (!found?.[1] || text.length > 100) return undefined;
  const power = found[2] ? 'kmgtp'.indexOf(found[2].toLowerCase()) + 1 : 0;
  const size = Math.trunc(Number(found[1]) * 1024 ** power);
  return size <= Number.MAX_SAFE_INTEGER ? size : undefined;
}

/** CPUs such as `0.5`, in billionths of one. */
export function nanoCpus(text: string): number | undefined {
  const found = /^(\d{0,6})(?:\.(\d*))?$/.exec(text);
  if (!found || (!found[1] && !found[2])) return undefined;
  const fraction = (found[2] ?? '').replace(/0+$/, '');
  if (fraction.length > 9) return undefined;
  return Number(found[1] || 0) * 1e9 + Number(fraction.padEnd(9, '0'));
}

/** A command line as words, by the quoting rules of a POSIX shell and without its expansions. */
export function shellWords(line: string): readonly string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < line.length; at += 1) {
    const char = line.charAt(at);
    if (quote === "'" || (quote && char === quote)) {
      if (char === quote) quote = '';
      else word += char;
    } else if (char === '\\') {
      at += 1;
      if (at >= line.length) return undefined;
      word = (word ?? '') + line.charAt(at);
    } else if (quote) word += char;
    else if (char === '"' || char === "'") {
      quote = char;
      word ??= '';
    } else if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (char === '#' && word === undefined) {
      const end = line.indexOf('\n', at);
      at = end < 0 ? line.length : end;
    } else word = (word ?? '') + char;
  }
  if (quote) return undefined;
  return word === undefined ? words : [...words, word];
}

/** A number or boolean as the command-line tool writes it into labels and variables. */
export function goText(value: number | bigint | boolean): string {
  return typeof value !== 'number' || Number.isInteger(value) ? String(value) : goFloat(value);
}

/** A float as the command-line tool writes it: shortest digits, exponents from 1e-05 and 1e+06 on. */
export function goFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
  const [mantissa = '', exponent = '0'] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(value);
  const digits = String(Math.abs(power)).padStart(2, '0');
  return `${mantissa}e${power < 0 ? '-' : '+'}${digits}`;
}

const component = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const host =
  '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*';
const reference = new RegExp(
  `^(?:(${host}(?::[0-9]+)?|\\[[a-fA-F0-9:]+\\](?::[0-9]+)?)/)?(${component}(?:/${component})*)(?::([\\w][\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,}))?$`,
);

export interface ImageReference {
  /** As the engine is told it: without the default registry, with a tag or a digest. */
  readonly familiar: string;
  /** Registry's host, `docker.io` by default. */
  readonly registry: string;
}

/** Reads the name of an image; undefined when it is none. */
export function imageReference(image: string): ImageReference | undefined {
  const found = image.length <= 512 ? reference.exec(image) : null;
  if (!found) return undefined;
  let registry = found[1];
  let path = found[2] ?? '';
  if (
    registry !== undefined &&
    !/[.:]|^localhost$/.test(registry) &&
    registry === registry.toLowerCase()
  ) {
    path = `${registry}/${path}`;
    registry = undefined;
  }
  if (registry === 'index.docker.io') registry = 'docker.io';
  const isDefault = registry === undefined || registry === 'docker.io';
  if (isDefault) path = path.replace(/^library\/(?=[^/]+$)/, '');
  const tag = found[3] ?? (found[4] ? undefined : 'latest');
  const name = isDefault ? path : `${registry}/${path}`;
  const familiar = `${name}${tag ? `:${tag}` : ''}${found[4] ? `@${found[4]}` : ''}`;
  return { familiar, registry: registry ?? 'docker.io' };
}
