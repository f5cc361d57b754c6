/** Checks of the sources: each is one program that must end well, and counts as one test. */
import { existsSync } from 'node:fs';
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

const checks: readonly Check[] = [
  { name: 'types (tsc)', argv: [tool('typescript/bin/tsc'), '--noEmit', '-p', 'tsconfig.json'] },
  {
    name: 'lint (eslint)',
    argv: [tool('eslint/bin/eslint.js'), '.', '--max-warnings', '0', '--concurrency', 'off'],
  },
  { name: 'format (prettier)', argv: [tool('prettier/bin/prettier.cjs'), '--check', '.'] },
  { name: 'generated files are fresh', argv: ['e2e/run/generate.ts', '--check'] },
];

/** Runs the checks one after another; what one says is shown if it fails. */
export async function runChecks(progress: Progress, signal: AbortSignal): Promise<Tally> {
  let passed = 0;
  let failed = 0;
  const skipped: string[] = [];
  for (const { name, argv } of checks) {
    const [script = ''] = argv;
    if (!existsSync(join(repositoryRoot, script)) && !existsSync(script)) {
      skipped.push(`${name}: there is no ${script}`);
      continue;
    }
    const startedMs = performance.now();
    try {
      await runCommand(process.execPath, argv, {
        cwd: repositoryRoot,
        timeoutMs: 15 * 60_000,
        signal,
      });
      passed++;
      progress(`${name}: passed (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
    } catch (error) {
      signal.throwIfAborted();
      failed++;
      progress(`FAILED ${name}:\n${describeError(error)}`);
    }
  }
  return { passed, failed, skipped };
}
