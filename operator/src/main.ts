/**
 * The one entry of the region's processes: `operator`, `hub` and `access`. It reads the arguments, turns
 * SIGTERM and SIGINT into an orderly end, and sets the exit code: 0 after an end that was asked for, 2 for
 * wrong flags, 1 for any other failure.
 */
import { createLogger, describeError, TerminalError } from '@cloudlet/runtime/base';

type Run = (argv: readonly string[], signal: AbortSignal) => Promise<void>;

/** Loaded on demand: a process has in memory what it is. */
const processes: Readonly<Record<string, () => Promise<Run>>> = {
  operator: async () => (await import('./operator-main.ts')).runOperator,
  hub: async () => (await import('./hub/main.ts')).runHub,
  access: async () => (await import('./access/main.ts')).runAccess,
};

const usage = `Usage: cloudlet ${Object.keys(processes).join('|')} [flags]\n`;

async function main([name, ...argv]: readonly string[]): Promise<number> {
  const load = processes[name ?? ''];
  if (!load) {
    process.stderr.write(usage);
    return name === '--help' ? 0 : 2;
  }
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => stop.abort(new Error(`got ${signal}`)));
  try {
    await (
      await load()
    )(argv, stop.signal);
    return 0;
  } catch (error) {
    if (error instanceof TerminalError && error.reason === 'InvalidFlags') {
      process.stderr.write(`${describeError(error)}\n${usage}`);
      return 2;
    }
    createLogger().error('the process ends', { process: name, error });
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
