/**
 * Runs files of node:test, each in a process of its own, and counts.
 *
 * Guarantees: a test counts once (suites do not); a file that fails without a failed test, such as one that
 * cannot be loaded, hangs or is killed, counts as one failure; a file without a test is a failure too; the
 * output of a file is shown if something in it failed; no test process outlives this one.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import { type Progress, repositoryRoot } from '../../testbed/index.ts';

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  /** Tests that were left out, with the reason each one gave. */
  readonly skipped: readonly string[];
}

export interface NodeTestOptions {
  readonly files: readonly string[];
  /** Files at the same time. */
  readonly concurrency: number;
  /** Longest time of a file. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** Shows each file as it ends, not only the failed ones. */
  readonly tellFiles?: boolean;
}

type TestRecord =
  | { readonly result: 'passed'; readonly name: string }
  | { readonly result: 'failed'; readonly name: string; readonly error: string }
  | { readonly result: 'skipped'; readonly name: string; readonly reason: string };

/** Runs all files and adds up. */
export async function runNodeTests(options: NodeTestOptions): Promise<Tally> {
  const waiting = [...options.files];
  const tallies: Tally[] = [];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      options.signal.throwIfAborted();
      tallies.push(await runFile(file, options));
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return addUp(tallies);
}

export function addUp(tallies: readonly Tally[]): Tally {
  return {
    passed: tallies.reduce((total, tally) => total + tally.passed, 0),
    failed: tallies.reduce((total, tally) => total + tally.failed, 0),
    skipped: tallies.flatMap((tally) => tally.skipped),
  };
}

async function runFile(file: string, options: NodeTestOptions): Promise<Tally> {
  const name = relative(repositoryRoot, file);
  const dir = mkdtempSync(join(tmpdir(), 'cloudlet-tests-'));
  const startedMs = performance.now();
  try {
    const { failure, output } = await runProcess(file, join(dir, 'records'), options);
    options.signal.throwIfAborted();
    const records = readRecords(join(dir, 'records'));
    const tally = tallyOf(name, records, failure);
    for (const { what, error } of failuresOf(records, failure, tally)) {
      options.progress(`FAILED ${name}: ${what}\n${indent(error)}`);
    }
    if (tally.failed > 0 && output.trim() !== '') {
      options.progress(`output of ${name}:\n${indent(output)}`);
    }
    if (tally.failed > 0 || options.tellFiles) {
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      options.progress(`${name}: ${tally.passed} passed, ${tally.failed} failed (${seconds} s)`);
    }
    return tally;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function runProcess(
  file: string,
  records: string,
  { signal, timeoutMs }: NodeTestOptions,
): Promise<{ failure: string | undefined; output: string }> {
  let output = '';
  const reporter = join(import.meta.dirname, 'reporter.mjs');
  const node = [`--test-reporter=${reporter}`, `--test-reporter-destination=${records}`, file];
  try {
    await runCommand('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, ...node], {
      cwd: repositoryRoot,
      timeoutMs,
      signal,
      // The one variable that would make it report to a parent instead.
      env: { NODE_TEST_CONTEXT: undefined },
      onOutput: (chunk) => (output = (output + chunk).slice(-16_000)),
    });
    return { failure: undefined, output };
  } catch (error) {
    return { failure: describeError(error), output };
  }
}

function readRecords(file: string): TestRecord[] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as TestRecord);
  } catch {
    return []; // it ended before it reported: that is counted as a failure
  }
}

function tallyOf(name: string, records: readonly TestRecord[], failure: string | undefined): Tally {
  const passed = records.filter((record) => record.result === 'passed').length;
  const failed = records.filter((record) => record.result === 'failed').length;
  const skipped = records.filter((record) => record.result === 'skipped');
  const isSilent = failed === 0 && (failure !== undefined || records.length === 0);
  return {
    passed,
    failed: isSilent ? 1 : failed,
    skipped: skipped.map((record) => `${name}: ${record.name}: ${record.reason}`),
  };
}

function failuresOf(
  records: readonly TestRecord[],
  failure: string | undefined,
  tally: Tally,
): { what: string; error: string }[] {
  const told = records
    .filter((record) => record.result === 'failed')
    .map(({ name, error }) => ({ what: name, error }));
  if (told.length > 0 || tally.failed === 0) return told;
  return [{ what: 'the file as a whole', error: failure ?? 'it holds no test' }];
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, '    ');
}
