/** A short run of the fault bed with a fixed seed, so that the bed itself is known to work. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFaults } from '../faults/run.ts';
import { noProgress } from '../testbed/index.ts';

test('under eight short faults nothing is lost, doubled or restarted', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'faults-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const only = ['hub-killed', 'operator-killed', 'agents-killed', 'link-reset', 'link-garbage'];
  const { faults, asked, carriedOut } = await runFaults({
    ...{ seed: 5, count: 8, perRound: 8, sites: 4, perProcess: 2, instances: 8, rate: 2 },
    ...{ only, patience: 0.25, gapMs: [100, 800], dir },
    ...{ progress: noProgress, signal: t.signal },
  });
  const done = [...faults.values()].reduce((sum, times) => sum + times, 0);
  assert.equal(done, 8);
  assert.ok(asked > 4 && carriedOut > 0, `${asked} asked for, ${carriedOut} carried out`);
});
