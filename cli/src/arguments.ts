/**
 * Arguments as kubectl takes them: short flags, several in one (`-it`), and `--` before a command.
 *
 * Guarantees: a short flag is the long one of the table, and an unknown one fails by its name; nothing after
 * `--` is looked at; a flag that several commands share means the same in each.
 */
import { type Flag, type FlagTable, TerminalError } from '@cloudlet/runtime/base';

/** The flags of every command, named as kubectl names them. */
export const commonFlags = {
  kubeconfig: { type: 'string', description: 'Path of the kubeconfig file.' },
  context: { type: 'string', description: 'Context of the kubeconfig. Default: the current one.' },
  namespace: {
    type: 'string',
    description: "Namespace (-n). Default: the context's, else default.",
  },
  help: { type: 'boolean', description: 'Print this text and exit (-h).' },
} as const satisfies FlagTable;

export interface SplitArguments {
  /** Long flags and positionals. */
  readonly own: readonly string[];
  /** What follows `--`; undefined where there is none. */
  readonly command: readonly string[] | undefined;
}

/** @throws TerminalError (`InvalidFlags`) for a short flag that the table does not have. */
export function splitArguments(
  argv: readonly string[],
  table: FlagTable,
  shorts: Readonly<Record<string, string>>,
): SplitArguments {
  const end = argv.indexOf('--');
  const own = (end < 0 ? argv : argv.slice(0, end)).flatMap((argument) =>
    /^-[a-zA-Z]/.test(argument)
      ? expanded(argument, table, { n: 'namespace', h: 'help', ...shorts })
      : [argument],
  );
  return { own, command: end < 0 ? undefined : argv.slice(end + 1) };
}

/** `-it` is `--stdin --tty`, `-nshop` and `-n=shop` are `--namespace=shop`. */
function expanded(
  argument: string,
  table: FlagTable,
  shorts: Readonly<Record<string, string>>,
): readonly string[] {
  const result: string[] = [];
  for (let index = 1; index < argument.length; index++) {
    const letter = argument.charAt(index);
    const name = shorts[letter];
    const flag: Flag | undefined = name === undefined ? undefined : table[name];
    if (!flag)
      throw new TerminalError('InvalidFlags', `there is no flag -${letter} (in ${argument})`);
    const rest = argument.slice(index + 1).replace(/^=/, '');
    if (flag.type !== 'boolean') return [...result, `--${name}${rest ? `=${rest}` : ''}`];
    result.push(`--${name}`);
  }
  return result;
}

/** The one positional that a command wants. */
export function onlyOne(positionals: readonly string[], what: string): string {
  const [one, ...more] = positionals;
  if (one === undefined) throw new TerminalError('InvalidFlags', `${what} is wanted`);
  if (more.length > 0)
    throw new TerminalError('InvalidFlags', `one ${what} is wanted, not also ${more.join(', ')}`);
  return one;
}

/** Seconds of a duration such as `90s`, `10m` or `1h30m`. */
export function secondsOf(flag: string, text: string): number {
  const units = { s: 1, m: 60, h: 3600 } as const;
  const parts = [...text.matchAll(/(\d+)([smh])/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join('') !== text)
    throw new TerminalError(
      'InvalidFlags',
      `--${flag} wants a duration such as 10m, not '${text}'`,
    );
  return parts.reduce(
    (sum, [, number, unit]) => sum + Number(number) * units[unit as keyof typeof units],
    0,
  );
}
