/**
 * A dozen hollow sites, told as the scale bed uses them by the thousand: they enrol, run instances, are cut
 * off and come back, and restart with the hub; nothing that runs is touched.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBed, type ScaleBed } from '../scale/bed.ts';
import { upgrade } from '../scale/phase-change.ts';
import { hubKill } from '../scale/phase-faults.ts';
import { grow, register, shrink } from '../scale/phase-grow.ts';
import { noProgress } from '../testbed/index.ts';

const sites = 12;
const stop = new AbortController();
let bed: ScaleBed;
let dir: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'scale-'));
  bed = await openBed({
    ...{ sites, perProcess: 6, enrol: 'joined', relay: true, dir },
    ...{ progress: noProgress, signal: stop.signal },
  });
});

after(async () => {
  stop.abort(new Error('the tests are over'));
  await bed?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

test('every site enrols by its own join and becomes Ready', async () => {
  const { figures } = await register(bed);
  assert.ok(Number.isFinite(figures['register.ready.max']));
  const keys = bed.hollow.names.map(
    (name) => bed.hollow.cloudlets.cache.get(name)?.status?.keys?.[0]?.fingerprint,
  );
  assert.equal(new Set(keys).size, sites, 'each has a key of its own');
});

test('instances run at the platforms of the sites and become Ready', async () => {
  await grow(bed, sites * 2, 'd');
  const snapshots = await bed.hollow.snapshots();
  assert.deepEqual(
    snapshots.map(({ instances, started }) => [instances.length, started]),
    bed.hollow.names.map(() => [2, 2]),
  );
});

test('a hub that is killed costs no task a restart', async () => {
  const { figures } = await hubKill(bed);
  assert.equal(figures['hubKill.restarts'], 0);
});

test('an upgrade of hub, operators and agents costs no task a restart', async () => {
  const { figures } = await upgrade(bed);
  assert.equal(figures['upgrade.restarts'], 0);
});

test('what is deleted leaves the platforms', async () => {
  await shrink(bed, 'd');
  assert.equal((await bed.hollow.counts()).instances, 0);
});
