/**
 * The one way in which the test bed starts a process that stays.
 *
 * Guarantees: its output goes to a log file; it is ready when its probe says so, or the start fails with the
 * end of that log; `stop` sends SIGTERM to its id and SIGKILL when it does not end; and the kernel kills it
 * when the process that started it ends, however that ends (PR_SET_PDEATHSIG). Linux only.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  DeadlineError,
  describeError,
  systemClock,
  UnreachableError,
} from '@cloudlet/runtime/base';

export interface ProcessOptions {
  /** What messages call it. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to this process's environment; undefined takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Appended to. */
  readonly logFile: string;
  /** Throws until the process is ready. */
  readonly ready?: (signal: AbortSignal) => Promise<unknown>;
  /** @default 60_000 */
  readonly readyWithinMs?: number;
  /** Between SIGTERM and SIGKILL. @default 10_000 */
  readonly stopWithinMs?: number;
  /** Told of the process before it is ready. */
  readonly launched?: (managed: ManagedProcess) => void;
  /** The command only wraps the process that is meant, its first child (nsenter into a PID namespace). */
  readonly wrapper?: boolean;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ManagedProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  readonly running: boolean;
  readonly exited: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Ends it and waits until it is gone. Done at once when it is. */
  stop(): Promise<void>;
  /** The last lines of its log. */
  tail(lines?: number): string;
}

/**
 * Starts a process and waits until it is ready.
 * @throws UnreachableError with the end of its log when it ends before, DeadlineError when it takes too long.
 */
export async function startProcess(options: ProcessOptions): Promise<ManagedProcess> {
  const managed = launch(options);
  options.launched?.(managed);
  if (!options.ready) return managed;
  const deadlineMs = options.readyWithinMs ?? 60_000;
  try {
    await until(`${options.name} to be ready`, deadlineMs, async (signal) => {
      if (managed.running) return options.ready?.(signal);
      const { code, signal: killer } = await managed.exited;
      throw new Ended(`${options.name} ended with ${code ?? killer} before it was ready`);
    });
  } catch (cause) {
    await managed.stop();
    throw new UnreachableError(
      `${describeError(cause)}; the end of ${options.logFile}:\n${managed.tail()}`,
      { cause },
    );
  }
  return managed;
}

/** Ends a wait early: waiting longer cannot help. */
export class Ended extends UnreachableError {}

function launch(options: ProcessOptions): ManagedProcess {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, 'a');
  // In a session of its own, so that a terminal's Ctrl-C reaches the owner only, which stops things in order.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', options.command, ...options.args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: 127, signal: null }));
  });
  const running = (): boolean =>
    child.pid !== undefined && child.exitCode === null && child.signalCode === null;
  const kill = (signal: NodeJS.Signals): void => {
    if (running()) signalProcess(child, signal, options.wrapper ?? false);
  };
  return {
    name: options.name,
    pid: child.pid ?? -1,
    logFile: options.logFile,
    get running() {
      return running();
    },
    exited,
    kill,
    async stop() {
      if (!running()) return;
      kill('SIGTERM');
      const late = systemClock.after(options.stopWithinMs ?? 10_000, () => kill('SIGKILL'));
      await exited;
      late.cancel();
    },
    tail: (lines = 20) => tailOf(options.logFile, lines),
  };
}

function signalProcess(child: ChildProcess, signal: NodeJS.Signals, wrapper: boolean): void {
  const inner = wrapper && child.pid !== undefined ? childrenOf(child.pid)[0] : undefined;
  if (inner === undefined) {
    child.kill(signal);
    return;
  }
  try {
    process.kill(inner, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // gone already
  }
}

/** Ids of the processes that `pid` started and that still are. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    return text === '' ? [] : text.split(' ').map(Number);
  } catch {
    return []; // it is gone
  }
}

/** The command line of a process as one string, or undefined when there is none with this id. */
export function commandLineOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return undefined;
  }
}

export function tailOf(file: string, lines: number): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return `(no ${file})`;
  }
}

export interface UntilOptions {
  /** Between two tries. @default 100 */
  readonly intervalMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Tries `probe` until it returns without throwing, and returns what it returned.
 * @throws DeadlineError naming `what` and the last error, or an `Ended` that the probe threw.
 */
export async function until<T>(
  what: string,
  deadlineMs: number,
  probe: (signal: AbortSignal) => Promise<T> | T,
  options: UntilOptions = {},
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    options.signal?.throwIfAborted();
    const leftMs = Math.max(1, Math.ceil(end - performance.now()));
    try {
      return await probe(AbortSignal.timeout(leftMs));
    } catch (cause) {
      if (cause instanceof Ended) throw cause;
      if (performance.now() >= end) {
        throw new DeadlineError(`waited ${deadlineMs / 1000} s for ${what}`, { cause });
      }
    }
    await systemClock.sleep(options.intervalMs ?? 100, options.signal);
  }
}

/** Throws `message` unless `condition` holds: the shape that `until` wants. */
export function expect(condition: unknown, message: string): asserts condition {
  if (!condition) throw new UnreachableError(message);
}
