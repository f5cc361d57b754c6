/** The process of `kubectl cloudlet`; as `kubectl-cloudlet` on the PATH kubectl finds it. */
import { describeError } from '@cloudlet/runtime/base';
import { runCli } from './cli.ts';
import { processTerminal } from './terminal.ts';
import { version } from './version.ts';

const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort(new Error('interrupted')));
process.once('SIGTERM', () => interrupted.abort(new Error('terminated')));
process.stdout.on('error', () => process.exit(0)); // `| head` has read enough

runCli(process.argv.slice(2), {
  terminal: processTerminal,
  signal: interrupted.signal,
  version,
}).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    process.stderr.write(`error: ${describeError(error)}\n`);
    process.exitCode = 1;
  },
);
