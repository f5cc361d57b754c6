import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LeaseChange } from './hub/lease-record.ts';
import { aLease } from './builders.ts';
import type { Lease } from './kinds.ts';
import { letIn, turnedAway, turnedAwayOf } from './turned-away.ts';

const start = Date.UTC(2026, 0, 1);
const minute = 60_000;
const member = (name: string, message = 'upgrade the agent') => ({
  ...{ fingerprint: `SHA256:${name}`, member: name, boot: `boot-${name}` },
  ...{ reason: 'VersionMismatch', message },
});

/** The Lease after a change that is to be there. */
function after(change: LeaseChange | undefined): Lease {
  assert.ok(change, 'nothing is written');
  const present = Object.entries(change.annotations ?? {}).filter(([, value]) => value !== null);
  return aLease('site-a', {}, Object.fromEntries(present));
}

test('a member is put on record once, again when it says something else, and every ten minutes', () => {
  let lease = after(turnedAway(aLease('site-a'), member('a'), start));
  assert.deepEqual(turnedAwayOf(lease, start), [
    { ...member('a'), at: new Date(start).toISOString() },
  ]);
  assert.equal(turnedAway(lease, member('a'), start + 9 * minute), undefined);
  lease = after(turnedAway(lease, member('a'), start + 10 * minute));
  assert.equal(turnedAwayOf(lease, start + 39 * minute).length, 1);
  lease = after(turnedAway(lease, member('a', 'upgrade the region'), start + 11 * minute));
  assert.match(JSON.stringify(turnedAwayOf(lease, start + 11 * minute)), /upgrade the region/);
});

test('one that says something else each time costs a write in half a minute', () => {
  const lease = after(turnedAway(aLease('site-a'), member('a', 'one'), start));
  assert.equal(turnedAway(lease, member('a', 'two'), start + 29_000), undefined);
  assert.ok(turnedAway(lease, member('a', 'two'), start + 30_000));
});

test('seven members are kept, the latest; one that is let in goes, and the others stay', () => {
  let lease = aLease('site-a');
  for (const name of 'abcdefgh') lease = after(turnedAway(lease, member(name), start));
  const names = (): string =>
    turnedAwayOf(lease, start)
      .map((each) => each.member)
      .join('');
  assert.equal(names(), 'bcdefgh');
  assert.equal(letIn(lease, 'SHA256:a', start), undefined);
  lease = after(letIn(lease, 'SHA256:d', start));
  assert.equal(names(), 'bcefgh');
});

test('the last one takes the annotation with it, and what nobody renews is gone', () => {
  const lease = after(turnedAway(aLease('site-a'), member('a'), start));
  assert.deepEqual(letIn(lease, 'SHA256:a', start), {
    annotations: { 'edge.cloudlet.dev/turned-away': null },
  });
  assert.deepEqual(turnedAwayOf(lease, start + 30 * minute), []);
  const spoilt = aLease('site-a', {}, { 'edge.cloudlet.dev/turned-away': '[{"member":1}]' });
  assert.deepEqual(turnedAwayOf(spoilt, start), []);
});
