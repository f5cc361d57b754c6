/** How long `npm start -- --once` takes until its URL answers, from the first keystroke on. */
import { runCommand, UnreachableError } from '@cloudlet/runtime/base';

export interface StartSecondsOptions {
  /** A clone of the repository. */
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Runs it to its end. @throws UnreachableError when no URL answered, or what it ended with. */
export async function startSeconds(options: StartSecondsOptions): Promise<number> {
  const startedMs = performance.now();
  let answeredMs: number | undefined;
  let told = '';
  await runCommand('npm', ['start', '--', '--once'], {
    ...options,
    onOutput: (text) => {
      told = (told + text).slice(-4_000);
      if (/ s\] http\S+ says: version 1 /.test(told)) answeredMs ??= performance.now();
    },
  });
  if (answeredMs === undefined) throw new UnreachableError(`npm start told no answer: ${told}`);
  return (answeredMs - startedMs) / 1000;
}
