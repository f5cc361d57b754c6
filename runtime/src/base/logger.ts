/**
 * The one logger: a JSON object a line on standard error.
 *
 * Guarantees: fields are written in the order given after `time`, `level`, `message`; a `Secret` prints as
 * `***`; an error prints its chain of messages, with the stack at level debug only; a text is cut at
 * `longestText`, since it may come from a stranger.
 */
import { describeError } from './errors.ts';

export const levels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof levels)[number];
export type LogFields = Readonly<Record<string, unknown>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  log(level: LogLevel, message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  with(fields: LogFields): Logger;
}

/** Characters of one text in a line. */
export const longestText = 4096;

export interface LoggerOptions {
  /** @default 'info' */
  readonly level?: LogLevel;
  /** @default writes to standard error */
  readonly write?: (line: string) => void;
  readonly now?: () => number;
}

export function createLogger(options: LoggerOptions = {}, fields: LogFields = {}): Logger {
  const {
    level: least = 'info',
    write = (line) => void process.stderr.write(line + '\n'),
    now = Date.now,
  } = options;
  const log = (level: LogLevel, message: string, more: LogFields = {}): void => {
    if (levels.indexOf(level) < levels.indexOf(least)) return;
    const record = { time: new Date(now()).toISOString(), level, message, ...fields, ...more };
    write(JSON.stringify(record, (_, value: unknown) => printable(value, least)));
  };
  return {
    log,
    debug: (message, more) => log('debug', message, more),
    info: (message, more) => log('info', message, more),
    warn: (message, more) => log('warn', message, more),
    error: (message, more) => log('error', message, more),
    with: (more) => createLogger(options, { ...fields, ...more }),
  };
}

/** Says nothing; for tests. */
export const silentLogger: Logger = createLogger({ write: () => undefined });

/** A value that no log, error or status ever shows. `reveal()` is where it is used. */
export class Secret {
  readonly #value: string;
  constructor(value: string) {
    this.#value = value;
  }
  reveal(): string {
    return this.#value;
  }
  toString(): string {
    return '***';
  }
  toJSON(): string {
    return '***';
  }
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '***';
  }
}

function printable(value: unknown, least: LogLevel): unknown {
  if (typeof value === 'string') return cut(value);
  if (!(value instanceof Error)) return typeof value === 'bigint' ? value.toString() : value;
  const text = cut(describeError(value));
  return least === 'debug' ? { error: text, stack: value.stack } : text;
}

function cut(text: string): string {
  const more = text.length - longestText;
  return more > 0 ? `${text.slice(0, longestText)}… ${more} more` : text;
}
