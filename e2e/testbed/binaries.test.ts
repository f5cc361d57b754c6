import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCommand } from '@cloudlet/runtime/base';
import { buildGo, type GoBuild } from './binaries.ts';

let source: string;
before(() => {
  source = mkdtempSync(join(tmpdir(), 'binaries-'));
  writeFileSync(join(source, 'go.mod'), 'module cloudlet.test/said\n\ngo 1.21\n');
  const program = 'package main\n\nvar said = "nothing"\n\nfunc main() { print(said) }\n';
  writeFileSync(join(source, 'main.go'), program);
});
after(() => rmSync(source, { recursive: true }));

const build = (folder: string, told: string[]): GoBuild => ({
  name: 'said',
  source,
  path: '.',
  binary: join(source, folder, 'said'),
  variables: { 'main.said': 'v1.36' },
  progress: (line) => told.push(line),
});

test('who asks for a program while it is built gets the same build', async () => {
  const told: string[] = [];
  const wanted = build('one', told);
  await Promise.all([buildGo(wanted), buildGo({ ...wanted })]);
  assert.equal(told.filter((line) => line.startsWith('building')).length, 1);
  assert.deepEqual(readdirSync(join(source, 'one')), ['said']);
  assert.equal((await runCommand(wanted.binary, [])).stderr, 'v1.36');
});

test('a build that fails leaves no file and is tried anew', async () => {
  const wanted = build('two', []);
  await assert.rejects(buildGo({ ...wanted, path: './missing' }), /said cannot be built/);
  assert.deepEqual(readdirSync(join(source, 'two')), []);
  await buildGo(wanted);
  assert.ok(existsSync(wanted.binary));
});

test('a missing Go is one line that says what to install', async () => {
  const path = process.env['PATH'];
  process.env['PATH'] = '/nowhere';
  try {
    await assert.rejects(
      buildGo(build('three', [])),
      /^TerminalError: missing go: install Go 1\.21/,
    );
  } finally {
    process.env['PATH'] = path;
  }
});
