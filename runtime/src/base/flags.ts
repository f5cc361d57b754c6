/**
 * Command-line flags: one table gives the types, the check and `--help`.
 *
 * Guarantees: unknown flags, missing required ones and values that do not parse end in one TerminalError
 * that names the flag and what it wants; the result is frozen. Values of flags are never secrets: a secret
 * comes from a file or standard input.
 */
import { parseArgs } from 'node:util';
import { TerminalError } from './errors.ts';

export interface Flag {
  readonly type: 'string' | 'number' | 'boolean' | 'list';
  readonly description: string;
  readonly default?: string | number | boolean;
  readonly required?: boolean;
  /** Allowed values. */
  readonly oneOf?: readonly string[];
}

export type FlagTable = Readonly<Record<string, Flag>>;

type ValueOf<F> = F extends { readonly type: infer K; readonly oneOf?: infer O }
  ? K extends 'number'
    ? number
    : K extends 'boolean'
      ? boolean
      : K extends 'list'
        ? readonly string[]
        : O extends readonly (infer V)[]
          ? V
          : string
  : never;

type Always =
  | { readonly default: string | number | boolean }
  | { readonly required: true }
  | { readonly type: 'list' | 'boolean' };

export type FlagValues<T extends FlagTable> = {
  readonly [K in keyof T]: T[K] extends Always ? ValueOf<T[K]> : ValueOf<T[K]> | undefined;
};

export interface ParsedFlags<T extends FlagTable> {
  readonly flags: FlagValues<T>;
  readonly positionals: readonly string[];
}

/**
 * Parses `argv` by `table`. Booleans are false and lists empty unless given.
 * @throws TerminalError (`InvalidFlags`) with one sentence for each mistake.
 */
export function parseFlags<const T extends FlagTable>(
  table: T,
  argv: readonly string[],
): ParsedFlags<T> {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, flag]) => [
      name,
      {
        type: flag.type === 'boolean' ? ('boolean' as const) : ('string' as const),
        multiple: flag.type === 'list',
      },
    ]),
  );
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (cause) {
    throw new TerminalError('InvalidFlags', (cause as Error).message, { cause });
  }
  const mistakes: string[] = [];
  const values = Object.entries(table).map(([name, flag]) => {
    const given = (parsed.values[name] ?? flag.default) as Given;
    return [name, valueOf(name, flag, given, mistakes)] as const;
  });
  if (mistakes.length > 0) throw new TerminalError('InvalidFlags', mistakes.join('; '));
  return {
    flags: Object.freeze(Object.fromEntries(values)) as FlagValues<T>,
    positionals: parsed.positionals,
  };
}

type Given = string | number | boolean | readonly string[] | undefined;

function valueOf(name: string, flag: Flag, given: Given, mistakes: string[]): unknown {
  if (given === undefined) {
    if (flag.required) mistakes.push(`--${name} is required: ${flag.description}`);
    return flag.type === 'list' ? [] : flag.type === 'boolean' ? false : undefined;
  }
  if (flag.type === 'number') {
    const number = Number(given);
    if (!Number.isFinite(number))
      mistakes.push(`--${name} wants a number, not '${given.toString()}'`);
    return number;
  }
  if (flag.oneOf && !flag.oneOf.includes(given as string))
    mistakes.push(`--${name} wants one of ${flag.oneOf.join(', ')}, not '${given.toString()}'`);
  return given;
}

/** The text of `--help`. */
export function helpOf(usage: string, summary: string, table: FlagTable): string {
  const rows = Object.entries(table).map(([name, flag]) => {
    const value = flag.type === 'boolean' ? '' : ` ${(flag.oneOf ?? [flag.type]).join('|')}`;
    return [`  --${name}${value}`, describeFlag(flag)] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return [
    summary,
    '',
    `Usage: ${usage}`,
    '',
    'Flags:',
    ...rows.map(([left, right]) => left.padEnd(width) + right),
    '',
  ].join('\n');
}

function describeFlag(flag: Flag): string {
  if (flag.required) return `${flag.description} Required.`;
  return flag.default === undefined
    ? flag.description
    : `${flag.description} Default ${String(flag.default)}.`;
}
