/**
 * The frame of every command of `npm run`: flags, signals, cleaning up, the exit code.
 *
 * Guarantees: SIGINT, SIGTERM and SIGHUP abort the signal that the command gets, and so does the end of
 * whoever holds its standard input where that is its tether; what it deferred is undone before the process
 * ends, last first, also after an error; an expected error is one line, not a stack.
 */
import { constants } from 'node:os';
import {
  describeError,
  type FlagTable,
  type FlagValues,
  TerminalError,
} from '@cloudlet/runtime/base';
import { createProgress, type Progress } from '../../testbed/index.ts';
import { calledWith, type Usage } from './usage.ts';

export interface CommandContext {
  readonly progress: Progress;
  /** Aborts when the process is asked to end. */
  readonly signal: AbortSignal;
  /** Undone when the command ends. */
  readonly cleanup: AsyncDisposableStack;
}

/** The process was asked to end. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly code: number;
  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.code = 128 + constants.signals[signal];
  }
}

/** Runs a command, and ends the process with the code that it returns. */
export async function runMain<const T extends FlagTable>(
  usage: Usage<T>,
  command: (
    context: CommandContext,
    flags: FlagValues<T>,
    words: readonly string[],
  ) => Promise<number>,
): Promise<void> {
  const called = calledWith(usage, process.argv.slice(2), (text) => process.stdout.write(text));
  if (typeof called === 'number') process.exit(called);
  await runFramed((context) => command(context, called.flags, called.words));
}

async function runFramed(command: (context: CommandContext) => Promise<number>): Promise<never> {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => controller.abort(new Interrupted(signal)));
  }
  if (process.env['CLOUDLET_TETHER'] === 'stdin') {
    delete process.env['CLOUDLET_TETHER']; // what this starts has a standard input of its own
    process.stdin.resume().once('end', () => controller.abort(new Interrupted('SIGHUP')));
  }
  const progress = createProgress();
  const cleanup = new AsyncDisposableStack();
  let code = 1;
  try {
    code = await command({ progress, signal: controller.signal, cleanup });
  } catch (error) {
    code = codeOf(error);
    if (error instanceof Interrupted) progress(error.message);
    else
      progress(`error: ${error instanceof TerminalError ? describeError(error) : stackOf(error)}`);
  }
  try {
    if (!cleanup.disposed) progress('cleaning up');
    await cleanup.disposeAsync();
  } catch (error) {
    progress(`error while cleaning up: ${stackOf(error)}`);
    code ||= 1;
  }
  process.exit(code);
}

const codeOf = (error: unknown): number => (error instanceof Interrupted ? error.code : 1);

function stackOf(error: unknown): string {
  const stack = error instanceof Error && error.stack ? `\n${error.stack}` : '';
  return `${describeError(error)}${stack}`;
}
