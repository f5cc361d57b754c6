import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { tmpdir } from 'node:os';
import { noProgress } from '../../testbed/index.ts';
import { runNodeTests, type Tally } from './node-tests.ts';

let dir: string;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'node-tests-'));
});
after(() => rmSync(dir, { recursive: true }));

/** Runs one file with this content; what the runner tells is returned beside its tally. */
async function tallyOf(
  content: string,
  timeoutMs = 30_000,
): Promise<{ tally: Tally; told: string }> {
  const file = join(dir, `case-${Math.random()}.test.mjs`);
  writeFileSync(file, `import { describe, test } from 'node:test';\n${content}`);
  let told = '';
  const tally = await runNodeTests({
    files: [file],
    concurrency: 1,
    timeoutMs,
    signal: new AbortController().signal,
    progress: (message) => (told += `${message}\n`),
  });
  return { tally, told };
}

test('tests count once, suites do not', async () => {
  const { tally } = await tallyOf(
    "describe('s', () => { test('a', () => {}); test('b', () => {}); }); test('c', () => {});",
  );
  assert.deepEqual(tally, { passed: 3, failed: 0, skipped: [] });
});

test('a failed test counts once and its error is shown with the output of the file', async () => {
  const { tally, told } = await tallyOf(
    "console.log('said before'); describe('s', () => { test('a', () => { throw new Error('broken'); }); });",
  );
  assert.equal(tally.failed, 1);
  assert.match(told, /FAILED .*: a\n[^]*broken/);
  assert.match(told, /said before/);
});

test('a hook that fails is told beside the tests that it cancelled', async () => {
  const { tally, told } = await tallyOf(
    "import { before } from 'node:test'; describe('s', () => { before(() => { throw new Error('no bed'); }); test('a', () => {}); });",
  );
  assert.deepEqual([tally.passed, tally.failed], [0, 2]);
  assert.match(told, /FAILED .*: s\n[^]*no bed/);
});

test('a skipped test is left out with its reason', async () => {
  const { tally } = await tallyOf(
    "test('a', { skip: 'no phones' }, () => {}); test('b', () => {});",
  );
  assert.equal(tally.passed, 1);
  assert.match(tally.skipped.join(), /: a: no phones$/);
});

test('a file that cannot be loaded is one failure', async () => {
  const { tally, told } = await tallyOf("import 'node:no-such-module';");
  assert.deepEqual([tally.passed, tally.failed], [0, 1]);
  assert.match(told, /no-such-module/);
});

test('a file without a test is one failure', async () => {
  const { tally } = await tallyOf('');
  assert.deepEqual([tally.passed, tally.failed], [0, 1]);
});

test('a file that never yields is ended at its time and is one failure', async () => {
  const { tally, told } = await tallyOf("test('a', () => { for (;;) {} });", 1_500);
  assert.deepEqual([tally.passed, tally.failed], [0, 1]);
  assert.match(told, /did not end within 1500 ms/);
});

test('an aborted run ends with the reason', async () => {
  const controller = new AbortController();
  controller.abort(new Error('asked to end'));
  await assert.rejects(
    runNodeTests({
      files: ['any'],
      concurrency: 1,
      timeoutMs: 1_000,
      signal: controller.signal,
      progress: noProgress,
    }),
    /asked to end/,
  );
});
