/**
 * Starting a child process, the one way: arguments as an array, never a shell string.
 *
 * Guarantees: `runCommand` ends by exit, deadline or abort (SIGTERM, then SIGKILL after 5 s), keeps at most
 * `maxBuffer` bytes of each stream, and fails with the command's name and the tail of what it said.
 */
import { spawn } from 'node:child_process';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';
import { DeadlineError, UnreachableError } from './errors.ts';

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to standard input, which is then closed. */
  readonly input?: string | Uint8Array;
  /** @default 60_000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Bytes kept of each stream, from its end. @default 16 MiB */
  readonly maxBuffer?: number;
  readonly onOutput?: (chunk: string) => void;
  /** Exit codes besides 0 that are no failure. */
  readonly allow?: readonly number[];
  readonly clock?: Clock;
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end.
 * @throws UnreachableError if it cannot start or exits with a code that is not allowed.
 * @throws DeadlineError if it outlives `timeoutMs`.
 */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const {
    timeoutMs = 60_000,
    maxBuffer = 16 * 1024 * 1024,
    clock = systemClock,
    allow = [],
  } = options;
  const shown = [command, ...args.slice(0, 3)].join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: options.env ? { ...process.env, ...options.env } : process.env,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    const out = { stdout: '', stderr: '' };
    let failure: Error | undefined;
    const stop = (error: Error): void => {
      failure ??= error;
      child.kill('SIGTERM');
      clock.after(5_000, () => child.kill('SIGKILL'));
    };
    const deadline = clock.after(timeoutMs, () =>
      stop(new DeadlineError(`${shown}: did not end within ${timeoutMs} ms`)),
    );
    const onAbort = (): void => stop(options.signal?.reason as Error);
    if (options.signal?.aborted) onAbort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (chunk: string) => {
        out[name] = (out[name] + chunk).slice(-maxBuffer);
        options.onOutput?.(chunk);
      });
    }
    child.stdin?.on('error', () => undefined); // the program ended before it read all: its exit code tells
    child.stdin?.end(options.input);
    const finish = (): void => {
      deadline.cancel();
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.on('error', (cause) => {
      finish();
      reject(new UnreachableError(`${shown}: cannot start`, { cause }));
    });
    child.on('close', (code, signal) => {
      finish();
      if (failure) reject(failure);
      else if (code === 0 || (code !== null && allow.includes(code))) resolve({ code, ...out });
      else {
        const tail = (out.stderr.trim() || out.stdout.trim()).split('\n').slice(-12).join('\n');
        reject(new UnreachableError(`${shown}: exit ${code ?? signal}: ${tail}`));
      }
    });
  });
}
