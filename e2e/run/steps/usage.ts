/**
 * How a command of `npm run` is called: its flags, and `--help`.
 *
 * Guarantees: nothing is started for a flag or a word that the command does not know, nor for a question; who
 * asks for help with a wrong flag is told of the flag; whoever asks need not know yet what is required.
 */
import {
  describeError,
  type FlagTable,
  type FlagValues,
  helpOf,
  type ParsedFlags,
  parseFlags,
  TerminalError,
} from '@cloudlet/runtime/base';

export interface Usage<T extends FlagTable> {
  /** As a person calls it, such as `npm run bench -- [flags]`. */
  readonly call: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  readonly flags: T;
  /** Whether words that are no flags mean something to it. @default false */
  readonly takesWords?: boolean;
}

export interface Called<T extends FlagTable> {
  readonly flags: FlagValues<T>;
  readonly words: readonly string[];
}

const helpFlag = {
  help: { type: 'boolean', description: 'Print this text and exit.' },
} as const satisfies FlagTable;

/** What a person gave; an exit code where the answer is all that they get, which is told. */
export function calledWith<const T extends FlagTable>(
  usage: Usage<T>,
  argv: readonly string[],
  write: (text: string) => void,
): Called<T> | number {
  const { call, summary, takesWords = false } = usage;
  const isQuestion = argv.includes('--help');
  const table = { ...usage.flags, ...helpFlag };
  try {
    const { flags, positionals } = parseFlags(isQuestion ? withoutDuties(table) : table, argv);
    const [word] = positionals;
    if (word !== undefined && !takesWords)
      throw new TerminalError('InvalidFlags', `'${word}' means nothing here: see --help`);
    if (!isQuestion) return { flags: flags as ParsedFlags<T>['flags'], words: positionals };
    write(helpOf(call, summary, table));
    return 0;
  } catch (error) {
    write(`error: ${describeError(error)}\n`);
    return 1;
  }
}

const withoutDuties = (table: FlagTable): FlagTable =>
  Object.fromEntries(
    Object.entries(table).map(([name, flag]) => [name, { ...flag, required: false }]),
  );
