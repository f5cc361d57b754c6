/** A process that can be ended and started again with the same arguments: what faults are done to. */
import { type ManagedProcess, type ProcessOptions, startProcess, tailOf } from './process.ts';

export interface Component {
  readonly name: string;
  readonly running: boolean;
  /** Of the last start, whether it is ready or not. */
  readonly pid: number | undefined;
  readonly logFile: string;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Any other signal, such as SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL when it does not end. */
  stop(): Promise<void>;
  /** Starts it and waits until it is ready; does nothing when it runs, and joins who starts it already. */
  start(): Promise<void>;
  restart(): Promise<void>;
  /** The last lines of its log. */
  tail(lines?: number): string;
}

/** @param start starts a process of the phone or of this host; by default of this host. */
export function componentOf(
  options: ProcessOptions,
  launch: (options: ProcessOptions) => Promise<ManagedProcess> = startProcess,
): Component {
  let current: ManagedProcess | undefined;
  let starting: Promise<void> | undefined;
  const launched = (managed: ManagedProcess): void => void (current = managed);
  const begin = async (): Promise<void> => launched(await launch({ ...options, launched }));
  const start = async (): Promise<void> => {
    // What was killed before it was ready is still being waited for by who started it.
    if (starting && !current?.running) await starting.catch(() => undefined);
    if (!starting && current?.running) return;
    starting ??= begin().finally(() => (starting = undefined));
    await starting;
  };
  const stop = async (): Promise<void> => current?.stop();
  return {
    name: options.name,
    logFile: options.logFile,
    get running() {
      return current?.running ?? false;
    },
    get pid() {
      return current?.pid;
    },
    async kill() {
      current?.kill('SIGKILL');
      await current?.exited;
    },
    signal: (signal) => current?.kill(signal),
    stop,
    start,
    async restart() {
      await stop();
      await start();
    },
    tail: (lines = 20) => tailOf(options.logFile, lines),
  };
}
