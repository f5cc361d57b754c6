import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, NotFoundError } from '@cloudlet/runtime/base';
import { Registry } from 'prom-client';
import type { Lease } from '../kinds.ts';
import { leaseAnnotations } from '../names.ts';
import { createHubMetrics } from './metrics.ts';
import { Removals } from './removals.ts';
import { failure, scriptedServer } from './scripted-server.ts';
import { SiteLeases } from './site-leases.ts';
import { aLease, aLedger, aTombstone, otherFingerprint } from './testing.ts';
import { WaitingKeys } from './waiting-keys.ts';

interface Patch {
  readonly metadata: {
    readonly resourceVersion: string;
    readonly annotations?: Record<string, string | null>;
  };
  readonly spec?: Lease['spec'];
}

/** One Lease behind optimistic concurrency; `meddle` lets somebody else write first. */
async function aLeaseServer() {
  let version = 1;
  let annotations: Record<string, string> = {};
  let spec: Lease['spec'] = {};
  const state = { meddle: 0, exists: true, gets: 0, writes: 0 };
  const current = () => ({
    metadata: {
      name: 'site-north',
      namespace: 'cloudlet-system',
      resourceVersion: String(version),
      annotations,
    },
    spec,
  });
  const server = await scriptedServer(({ method, body }) => {
    if (!state.exists) return failure(404, 'NotFound', 'not found');
    if (method === 'GET') {
      state.gets++;
      return [200, current()];
    }
    const patch = body as Patch;
    if (state.meddle > 0) {
      state.meddle--;
      version++;
    }
    if (patch.metadata.resourceVersion !== String(version))
      return failure(409, 'Conflict', 'changed');
    version++;
    state.writes++;
    const merged = Object.entries({ ...annotations, ...patch.metadata.annotations });
    annotations = Object.fromEntries(
      merged.filter((pair): pair is [string, string] => pair[1] !== null),
    );
    spec = { ...spec, ...patch.spec };
    return [200, current()];
  });
  const cached = new Map<string, Lease>();
  const clock = new FakeClock();
  const leases = new SiteLeases({
    client: server.client,
    leases: {
      get: (key) => cached.get(key),
      wrote: (lease) => {
        cached.set(`${lease.metadata.namespace}/${lease.metadata.name}`, lease);
        return lease;
      },
      seen: () => Promise.resolve(),
    },
    clock,
    metrics: createHubMetrics(new Registry()),
  });
  return { server, state, leases, clock, annotation: (key: string) => annotations[key] };
}

test('an edit is made of the Lease as it is, again after somebody else wrote', async () => {
  const { server, state, leases } = await aLeaseServer();
  await using _ = server;
  state.meddle = 2;
  const seen: string[] = [];
  const written = await leases.edit('north', ({ metadata }) => {
    seen.push(metadata.resourceVersion ?? '');
    return { spec: { holderIdentity: 'hub-1/a' } };
  });
  assert.equal(written.spec?.holderIdentity, 'hub-1/a');
  assert.deepEqual(seen, ['1', '2', '3']);
});

test('edits of one Lease are serial, and each sees the one before', async () => {
  const { server, state, leases } = await aLeaseServer();
  await using _ = server;
  await Promise.all(
    ['a', 'b', 'c'].map((name) =>
      leases.edit('north', ({ metadata }) => ({
        annotations: { list: `${metadata.annotations?.['list'] ?? ''}${name}` },
      })),
    ),
  );
  const last = await leases.edit('north', () => undefined);
  assert.equal(last.metadata.annotations?.['list'], 'abc');
  assert.deepEqual([state.gets, state.writes], [1, 3], 'own writes are read from memory');
});

test('a Lease that the operator has not made yet is told, and does not stop later edits', async () => {
  const { server, state, leases } = await aLeaseServer();
  await using _ = server;
  state.exists = false;
  await assert.rejects(
    leases.edit('north', () => ({})),
    NotFoundError,
  );
  state.exists = true;
  await leases.edit('north', () => ({ annotations: { a: 'b' } }));
  assert.equal(state.writes, 1);
});

test('removals that are confirmed together cost one or two writes, and go with their tombstones', async () => {
  const { server, state, leases, annotation } = await aLeaseServer();
  await using _ = server;
  const ids = Array.from({ length: 50 }, (_value, index) => `id-${index}`);
  let tombstones = ids.map((id) => aTombstone({ id, sequence: 4 }));
  const removals = new Removals(leases, {
    ledger: () => aLedger({ tombstones }),
    siteLease: () => {
      const lease = aLease();
      const text = annotation(leaseAnnotations.removed) ?? '[]';
      const annotations = { [leaseAnnotations.removed]: text };
      return { ...lease, metadata: { ...lease.metadata, annotations } };
    },
  });
  assert.equal(removals.isOnRecord('north', 'id-0', 4), false);
  const recorded = await Promise.all(ids.map((id) => removals.record('north', id, 4)));
  assert.ok(recorded.every(Boolean));
  assert.ok(state.writes <= 2, `${state.writes} writes`);
  const listed = () => JSON.parse(annotation(leaseAnnotations.removed) ?? '[]') as unknown[];
  assert.equal(listed().length, 50);
  assert.deepEqual(
    [3, 4, 5].map((sequence) => removals.isOnRecord('north', 'id-0', sequence)),
    [true, true, false],
  );
  await removals.record('north', 'id-0', 4);
  assert.ok(state.writes <= 2, 'what is on record is not written again');
  tombstones = tombstones.slice(0, 1);
  await removals.record('north', 'id-0', 5);
  assert.deepEqual(listed(), [{ id: 'id-0', sequence: 5 }]);
});

test('four keys wait; a fifth has room only when one was idle for ten minutes', async () => {
  const { server, state, leases, clock, annotation } = await aLeaseServer();
  await using _ = server;
  const waiting = new WaitingKeys({ leases, clock });
  const key = (index: number) => ({ fingerprint: `${otherFingerprint}${index}`, member: 'phone' });
  for (const index of [1, 2, 3, 4]) assert.equal(await waiting.add('north', key(index)), true);
  assert.equal(await waiting.add('north', key(5)), false);
  const { writes } = state;
  await waiting.add('north', key(1));
  assert.equal(state.writes, writes, 'a key that asks again is not written again');
  await clock.advance(6 * 60_000);
  for (const index of [1, 2, 3]) await waiting.add('north', key(index));
  await clock.advance(6 * 60_000);
  assert.equal(await waiting.add('north', key(5)), true);
  const names = () =>
    (JSON.parse(annotation(leaseAnnotations.waiting) ?? '[]') as { fingerprint: string }[]).map(
      ({ fingerprint }) => fingerprint.at(-1),
    );
  assert.deepEqual(names(), ['1', '2', '3', '5']);
  await waiting.drop('north', key(2).fingerprint);
  assert.deepEqual(names(), ['1', '3', '5']);
});
