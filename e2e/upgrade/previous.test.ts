import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noProgress } from '../testbed/index.ts';
import { previousVersion } from './previous.ts';

test('a version that the history lacks is refused with what brings it', async () => {
  const signal = AbortSignal.timeout(30_000);
  await assert.rejects(
    previousVersion('v0.0.0-nothing', noProgress, signal),
    /there is no v0\.0\.0-nothing in this clone: git fetch|this folder is no clone: clone the/,
  );
});
