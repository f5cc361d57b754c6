import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { InvalidError, runCommand } from '@cloudlet/runtime/base';
import { trimExecutable } from './trim.ts';

test('a trimmed program is smaller and runs as before', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'trim-'));
  t.after(() => rm(folder, { recursive: true }));
  const program = readFileSync(process.execPath);
  const trimmed = trimExecutable(program);
  assert.ok(trimmed.length < program.length * 0.9, `${trimmed.length} of ${program.length} bytes`);
  const file = join(folder, 'node');
  writeFileSync(file, trimmed);
  chmodSync(file, 0o755);
  const { stdout } = await runCommand(file, ['-p', 'process.version'], { timeoutMs: 60_000 });
  assert.equal(stdout.trim(), process.version);
});

test('what is loaded stays byte for byte, but for the pointer to the sections', () => {
  const program = readFileSync(process.execPath);
  const trimmed = trimExecutable(program);
  assert.ok(trimmed.subarray(64).equals(program.subarray(64, trimmed.length)));
  assert.ok(trimExecutable(trimmed).equals(trimmed), 'trimming again changes nothing');
});

test('a script is refused', () => {
  assert.throws(() => trimExecutable(Buffer.from('#!/bin/sh\n')), InvalidError);
});
