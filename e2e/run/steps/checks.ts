/** Checks of the sources: each is one program that must end well, and counts as one test. */
import { join } from 'node:path';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import { type Progress, repositoryRoot } from '../../testbed/index.ts';
import type { Tally } from './node-tests.ts';

interface Check {
  readonly name: string;
  /** Script and arguments for this Node. */
  readonly argv: readonly string[];
}

const tool = (path: string): string => join(repositoryRoot, 'node_modules', path);

/** Two rows side by side, of about the same length. */
const rows: readonly (readonly Check[])[] = [
  [
    {
      name: 'lint (eslint)',
      argv: [tool('eslint/bin/eslint.js'), '.', '--max-warnings', '0', '--concurrency', 'off'],
    },
  ],
  [
    { name: 'types (tsc)', argv: [tool('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.json'] },
    { name: 'format (prettier)', argv: [tool('prettier/bin/prettier.cjs'), '--check', '.'] },
    { name: 'generated files are fresh', argv: ['e2e/run/generate.ts', '--check'] },
  ],
];

/** Runs all checks; what one says is shown if it fails. */
export async function runChecks(
  progress: Progress,
  signal: AbortSignal,
): Promise<readonly Tally[]> {
  const tallies = rows.map(async (row) => {
    const done: Tally[] = [];
    for (const check of row) done.push(await runCheck(check, progress, signal));
    return done;
  });
  return (await Promise.all(tallies)).flat();
}

async function runCheck(
  { name, argv }: Check,
  progress: Progress,
  signal: AbortSignal,
): Promise<Tally> {
  const startedMs = performance.now();
  try {
    await runCommand(process.execPath, argv, {
      cwd: repositoryRoot,
      timeoutMs: 15 * 60_000,
      signal,
    });
    progress(`${name}: passed (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
    return { passed: 1, failed: 0, skipped: [] };
  } catch (error) {
    signal.throwIfAborted();
    progress(`FAILED ${name}:\n${describeError(error)}`);
    return { passed: 0, failed: 1, skipped: [] };
  }
}
