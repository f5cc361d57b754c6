import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import type { Cloudlet } from '@cloudlet/crds';
import { leaseAnnotations } from '../names.ts';
import type { LeaseChange } from './lease-record.ts';
import { Leaving } from './leaving.ts';
import type { SiteLeases } from './site-leases.ts';
import { aCloudlet, aLease, RecordingLink } from './testing.ts';

function aFarewell() {
  const clock = new FakeClock();
  const changes: (LeaseChange | undefined)[] = [];
  const state = { ids: [] as string[], cloudlet: aCloudlet() as Cloudlet | undefined };
  const edit: SiteLeases['edit'] = (_site, make) => {
    const lease = aLease();
    changes.push(make(lease, clock.now()));
    return Promise.resolve(lease);
  };
  const leaving = new Leaving({
    region: { cloudlet: () => state.cloudlet, idsOf: () => state.ids },
    leases: { edit },
    clock,
    logger: silentLogger,
  });
  const remove = (): void => {
    const cloudlet = aCloudlet();
    const deletionTimestamp = '2026-01-01T00:00:00Z';
    state.cloudlet = { ...cloudlet, metadata: { ...cloudlet.metadata, deletionTimestamp } };
  };
  return { leaving, clock, changes, state, remove };
}

const onRecord = [{ annotations: { [leaseAnnotations.left]: 'uid-north' } }];

test('members are asked once nothing is at the site, and their word is put on record', () => {
  const { leaving, changes, state, remove } = aFarewell();
  const links = [new RecordingLink({ boot: 'a' }), new RecordingLink({ boot: 'b' })];
  leaving.consider('north', links);
  remove();
  state.ids = ['id'];
  leaving.consider('north', links);
  assert.deepEqual(
    links.map(({ sent }) => sent),
    [[], []],
  );
  state.ids = [];
  leaving.consider('north', links);
  leaving.consider('north', links);
  assert.deepEqual(
    links.map(({ sent }) => sent),
    [['leave'], ['leave']],
  );
  const [a, b] = links;
  if (a) leaving.left(a);
  assert.deepEqual(changes, []);
  b?.end();
  assert.deepEqual(changes, onRecord, 'one that goes is not waited for');
});

test('a site that does not answer is waited for half a minute', async () => {
  const { leaving, clock, changes, remove } = aFarewell();
  remove();
  leaving.consider('north', [new RecordingLink()]);
  await clock.advance(29_000);
  assert.deepEqual(changes, []);
  await clock.advance(1_000);
  assert.deepEqual(changes, onRecord);
});
