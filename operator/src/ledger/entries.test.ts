import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CloudletLedgerSpec } from '@cloudlet/crds';
import { anAppInst } from '../builders.ts';
import {
  confirmRemoval,
  emptyLedger,
  entryOf,
  expel,
  place,
  type PlaceRequest,
  portsTakenBy,
  rebuildLedger,
  retire,
  tombstoneOf,
  usageOf,
} from './entries.ts';

const request = (id: string, more: Partial<PlaceRequest> = {}): PlaceRequest => ({
  id,
  namespace: 'shop',
  name: id,
  inputs: 'a',
  resources: { cpuMillis: 500 },
  ports: [{ name: 'http', protocol: 'HTTP', port: 80 }],
  range: { first: 10_000, last: 10_009 },
  floor: 0,
  ...more,
});
const placed = (ledger: CloudletLedgerSpec, id: string, more: Partial<PlaceRequest> = {}) => {
  const { ledger: next, result } = place(ledger, request(id, more));
  assert.equal(result.kind, 'Placed');
  return next;
};
const bury = (
  ledger: CloudletLedgerSpec,
  id: string,
  reason: 'Deleted' | 'Abandoned' = 'Deleted',
) => retire(ledger, { id, reason, since: '2026-01-01T00:00:00Z', floor: 0 }).ledger;
const empty = emptyLedger('site');

test('the same request again changes nothing, not even the object', () => {
  const once = placed(empty, 'a');
  assert.equal(place(once, request('a')).ledger, once);
});

test('a change of the plan raises the sequence, and keeps the ports', () => {
  const once = placed(placed(empty, 'b'), 'a');
  const twice = placed(once, 'a', { inputs: 'b' });
  assert.deepEqual([entryOf(once, 'a')?.sequence, entryOf(twice, 'a')?.sequence], [2, 3]);
  assert.deepEqual(entryOf(twice, 'a')?.ports, entryOf(once, 'a')?.ports);
});

test('a sequence is higher than any that the instance had at another site', () => {
  assert.equal(entryOf(placed(empty, 'a', { floor: 41 }), 'a')?.sequence, 42);
});

test('an entry that is older than the last report gets a later sequence, once', () => {
  const restored = placed(empty, 'a');
  const later = placed(restored, 'a', { floor: 6, reported: 6 });
  assert.equal(entryOf(later, 'a')?.sequence, 7);
  assert.deepEqual(entryOf(later, 'a')?.ports, entryOf(restored, 'a')?.ports);
  assert.equal(placed(later, 'a', { floor: 7, reported: 6 }), later);
});

test('an order to remove that is older than what the site has gets a later sequence, once', () => {
  const restored = retireOf(placed(empty, 'a'), 0);
  const later = retireOf(restored.ledger, 6);
  assert.equal(later.tombstone?.sequence, 7);
  assert.equal(later.ledger.sequence, 7);
  assert.equal(later.tombstone.since, restored.tombstone?.since);
  assert.equal(retireOf(later.ledger, 6).ledger, later.ledger);
});

const retireOf = (ledger: CloudletLedgerSpec, floor: number) =>
  retire(ledger, { id: 'a', reason: 'Deleted', since: '2026-01-01T00:00:00Z', floor });

test('a port that the plan no longer has stays taken until the site runs the new one', () => {
  const once = placed(empty, 'a');
  const without = placed(once, 'a', { ports: [], inputs: 'b', acknowledged: 1 });
  assert.deepEqual(
    portsTakenBy(without).map(({ publicPort }) => publicPort),
    [80],
  );
  const known = placed(without, 'a', { ports: [], inputs: 'b', acknowledged: 2 });
  assert.deepEqual(portsTakenBy(known), []);
  assert.equal(entryOf(known, 'a')?.sequence, 2, 'letting go of it is no change of the plan');
});

test('a removed instance keeps its port until the site said that it is gone', () => {
  const gone = bury(placed(empty, 'a'), 'a');
  assert.equal(usageOf(gone).instances, 0);
  assert.notEqual(entryOf(placed(gone, 'b'), 'b')?.ports?.[0]?.publicPort, 80);
  assert.notEqual(tombstoneOf(confirmRemoval(gone, 'a', 1), 'a'), undefined, 'an older order');
  const confirmed = confirmRemoval(gone, 'a', 2);
  assert.deepEqual(confirmed, { cloudletId: 'site', sequence: 2 });
});

test('an instance that comes back before it was removed has its ports again', () => {
  const other = placed(placed(empty, 'x'), 'a');
  const [first] = entryOf(other, 'a')?.ports ?? [];
  const back = placed(bury(other, 'a'), 'a');
  assert.equal(tombstoneOf(back, 'a'), undefined);
  assert.deepEqual(entryOf(back, 'a')?.ports, [first]);
  assert.equal(entryOf(back, 'a')?.sequence, 4);
});

test('a removal becomes an abandonment, and never the other way', () => {
  const abandoned = bury(bury(placed(empty, 'a'), 'a'), 'a', 'Abandoned');
  assert.equal(tombstoneOf(abandoned, 'a')?.reason, 'Abandoned');
  assert.equal(bury(abandoned, 'a'), abandoned);
});

test('retiring what is not there changes nothing', () => {
  assert.equal(bury(empty, 'a'), empty);
});

const since = '2026-01-01T00:00:00Z';

test('an orphan is removed by a number that its site is not past, once, and keeps its volumes', () => {
  const ledger = expel({ ...empty, sequence: 4 }, { id: 'a', sequence: 12 }, since);
  assert.deepEqual(ledger.tombstones, [{ id: 'a', sequence: 13, reason: 'Orphaned', since }]);
  assert.equal(ledger.sequence, 13);
  assert.equal(expel(ledger, { id: 'a', sequence: 12 }, since), ledger);
});

test('a removal that its site is past is raised and stays what it was', () => {
  const buried = bury(placed(empty, 'a'), 'a');
  const [before] = buried.tombstones ?? [];
  const raised = expel(buried, { id: 'a', sequence: 9 }, 'later');
  assert.deepEqual(raised.tombstones, [{ ...before, sequence: 10 }]);
});

test('what is placed at the site is no orphan of it, whatever the site says', () => {
  const ledger = placed(empty, 'a');
  assert.equal(expel(ledger, { id: 'a', sequence: 9 }, since), ledger);
});

test('a site that names more orphans than it could have fills no ledger', () => {
  let ledger = empty;
  for (let n = 0; n < 1_100; n++) ledger = expel(ledger, { id: `id-${n}` }, since);
  assert.equal(ledger.tombstones?.length, 1_000);
});

test('a lost ledger is made again from what statuses say', () => {
  const status = {
    placement: { cloudlet: 'edge1', sequence: 7 },
    ports: [{ name: 'http', protocol: 'HTTP' as const, port: 80, publicPort: 10_001 }],
  };
  const rebuilt = rebuildLedger('site', [{ id: 'a', appInst: anAppInst({ status }) }]);
  assert.equal(rebuilt.sequence, 7);
  const next = placed(rebuilt, 'a', { floor: 7 });
  assert.equal(entryOf(next, 'a')?.sequence, 8);
  assert.equal(entryOf(next, 'a')?.ports?.[0]?.publicPort, 10_001);
});

test('whatever is asked, in whatever order, no two instances hold one port and no sequence comes twice', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = mulberry(seed);
    const pick = (most: number): number => Math.floor(random() * most);
    let ledger = empty;
    const given = new Map<string, number>();
    for (let step = 0; step < 60; step++) {
      const id = `i${pick(8)}`;
      const before = ledger;
      if (random() < 0.6) {
        const ports = Array.from({ length: pick(3) }, (_, index) => ({
          name: `p${index}`,
          protocol: random() < 0.5 ? ('TCP' as const) : ('UDP' as const),
          port: 80 + pick(3),
          ...(random() < 0.3 ? { endPort: 83 + pick(2) } : {}),
        }));
        const acknowledged = pick(ledger.sequence + 1);
        ledger = place(ledger, request(id, { ports, inputs: pick(4), acknowledged })).ledger;
      } else if (random() < 0.5) ledger = bury(ledger, id);
      else ledger = confirmRemoval(ledger, id, tombstoneOf(ledger, id)?.sequence ?? 0);
      assertNoPortTwice(ledger, seed);
      const sequence = entryOf(ledger, id)?.sequence ?? tombstoneOf(ledger, id)?.sequence;
      if (sequence === undefined || ledger === before) continue;
      assert.ok(sequence >= (given.get(id) ?? 0), `seed ${seed}: a sequence went back`);
      given.set(id, sequence);
      assert.ok(ledger.sequence >= sequence);
    }
    const sequences = [...(ledger.entries ?? []), ...(ledger.tombstones ?? [])].map(
      (e) => e.sequence,
    );
    assert.equal(new Set(sequences).size, sequences.length, `seed ${seed}: one sequence twice`);
  }
});

function assertNoPortTwice(ledger: CloudletLedgerSpec, seed: number): void {
  const owners = new Map<string, string>();
  for (const holder of [...(ledger.entries ?? []), ...(ledger.tombstones ?? [])])
    for (const port of [
      ...(holder.ports ?? []),
      ...('releasing' in holder ? (holder.releasing ?? []) : []),
    ])
      for (let offset = 0; offset < (port.count ?? 1); offset++) {
        const key = `${port.protocol}/${port.publicPort + offset}`;
        assert.ok(
          (owners.get(key) ?? holder.id) === holder.id,
          `seed ${seed}: ${key} is held by ${owners.get(key)} and ${holder.id}`,
        );
        owners.set(key, holder.id);
      }
}

/** A small generator of numbers that are the same for the same seed. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
