import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatMicroTime } from '@cloudlet/runtime/kubernetes';
import type { Lease } from '../kinds.ts';
import { leaseAnnotations } from '../names.ts';
import {
  type Acquisition,
  acquisition,
  contestsOf,
  duplicateOf,
  hubAnnotations,
  isLive,
  isRefusedDuplicate,
  type LeaseChange,
  rearmed,
  release,
  standDown,
  takenOffRecord,
} from './lease-record.ts';
import { aCloudlet, aLease, fingerprint, otherFingerprint } from './testing.ts';

const start = Date.UTC(2026, 0, 1);
const minute = 60_000;

const by = (boot: string, now: number, more: Partial<Acquisition> = {}): Acquisition => ({
  hub: 'hub-1',
  boot,
  fingerprint,
  cloudlet: aCloudlet(),
  now,
  ...more,
});

/** The Lease after a merge patch. */
function changed(lease: Lease, { spec, annotations }: LeaseChange): Lease {
  const kept = { ...lease.metadata.annotations, ...annotations };
  const present = Object.entries(kept).filter((pair): pair is [string, string] => pair[1] !== null);
  return aLease({ ...lease.spec, ...spec }, Object.fromEntries(present));
}

const held = (boot: string, at = start): Lease =>
  changed(aLease(), acquisition(aLease(), by(boot, at)).change);

test('a free Lease is taken for 90 s', () => {
  const { change, contested } = acquisition(aLease(), by('a', start));
  assert.equal(contested, false);
  assert.deepEqual(change, {
    spec: {
      holderIdentity: 'hub-1/a',
      leaseDurationSeconds: 90,
      renewTime: formatMicroTime(start),
      acquireTime: formatMicroTime(start),
      leaseTransitions: 1,
    },
  });
  const lease = changed(aLease(), change);
  assert.equal(isLive(lease, start + 89_000), true);
  assert.equal(isLive(lease, start + 91_000), false);
});

test('the same boot renews, at another hub too, and that is no contest', () => {
  const { change, contested } = acquisition(held('a'), by('a', start + minute, { hub: 'hub-2' }));
  assert.equal(contested, false);
  assert.equal(change.spec?.holderIdentity, 'hub-2/a');
  assert.equal(change.spec.leaseTransitions, undefined);
});

test('taking it from one that is dead, or stood down, is no contest', () => {
  assert.equal(acquisition(held('a'), by('b', start + 2 * minute)).contested, false);
  const lease = held('a');
  const stood = changed(lease, standDown(lease, 'hub-1', 'a') ?? {});
  const { contested, change } = acquisition(stood, by('b', start + 1000));
  assert.equal(contested, false);
  assert.equal(change.annotations?.[hubAnnotations.stoodDown], null);
});

test('two boots that take it from each other three times in five minutes are duplicates', () => {
  let lease = held('a');
  for (const [boot, seconds] of [
    ['b', 30],
    ['a', 60],
  ] as const) {
    const { change, contested, duplicate } = acquisition(lease, by(boot, start + seconds * 1000));
    assert.deepEqual([contested, duplicate], [true, undefined]);
    lease = changed(lease, change);
  }
  const { change, duplicate } = acquisition(lease, by('b', start + 90_000));
  assert.deepEqual([...(duplicate?.boots ?? [])].sort(), ['a', 'b']);
  lease = changed(lease, change);
  assert.equal(lease.spec?.holderIdentity, '');
  assert.deepEqual(duplicateOf(lease)?.fingerprints, [fingerprint]);
});

test('three contests in more than five minutes, or with a third boot, make no duplicates', () => {
  let slow = held('a');
  for (const [index, boot] of ['b', 'a', 'b', 'a', 'b'].entries()) {
    // Renewed, so that it is live when it is taken.
    const now = start + (index + 1) * 3 * minute;
    slow = changed(slow, { spec: { renewTime: formatMicroTime(now - 1000) } });
    const { change, duplicate } = acquisition(slow, by(boot, now));
    assert.equal(duplicate, undefined);
    slow = changed(slow, change);
  }
  let three = held('a');
  for (const [index, boot] of ['b', 'c', 'a', 'b', 'c'].entries()) {
    const { change, duplicate } = acquisition(three, by(boot, start + index * 1000));
    assert.equal(duplicate, undefined);
    three = changed(three, change);
  }
  assert.ok(contestsOf(three).length <= 8);
});

test('duplicates are refused until a person accepts the key again', () => {
  const cloudlet = aCloudlet({ acceptedKeys: [fingerprint] });
  let lease = held('a');
  for (const [boot, seconds] of [
    ['b', 1],
    ['a', 2],
    ['b', 3],
  ] as const)
    lease = changed(
      lease,
      acquisition(lease, by(boot, start + seconds * 1000, { cloudlet })).change,
    );
  const record = duplicateOf(lease);
  assert.equal(isRefusedDuplicate(record, fingerprint, cloudlet), true);
  assert.equal(isRefusedDuplicate(record, otherFingerprint, cloudlet), false, 'a new key');
  const taken = aCloudlet({ acceptedKeys: [otherFingerprint] });
  assert.equal(isRefusedDuplicate(record, fingerprint, taken), true, 'another was accepted');
  const again = aCloudlet({ acceptedKeys: [fingerprint, otherFingerprint] });
  assert.equal(isRefusedDuplicate(record, fingerprint, again), false, 'accepted again');
  const settled = changed(
    lease,
    acquisition(lease, by('b', start + minute, { cloudlet: again })).change,
  );
  assert.equal(duplicateOf(settled), undefined);
});

test('a key that was listed already is accepted again by taking it out and putting it in', () => {
  const listed = aCloudlet({ acceptedKeys: [fingerprint] });
  let lease = held('a');
  for (const [boot, seconds] of [
    ['b', 1],
    ['a', 2],
    ['b', 3],
  ] as const) {
    const at = by(boot, start + seconds * 1000, { cloudlet: listed });
    lease = changed(lease, acquisition(lease, at).change);
  }
  assert.equal(rearmed(lease, listed), undefined);
  const without = aCloudlet({ acceptedKeys: [otherFingerprint] });
  lease = changed(lease, rearmed(lease, without) ?? {});
  assert.equal(isRefusedDuplicate(duplicateOf(lease), fingerprint, without), true);
  assert.equal(rearmed(lease, listed), undefined, 'the decision is not taken back');
  assert.equal(isRefusedDuplicate(duplicateOf(lease), fingerprint, listed), false);
});

test('a Lease is given back by its holder only', () => {
  const lease = held('a');
  assert.deepEqual(release(lease, 'hub-1', 'a'), { spec: { holderIdentity: '' } });
  assert.equal(release(lease, 'hub-2', 'a'), undefined);
  assert.equal(release(lease, 'hub-1', 'b'), undefined);
});

test('an annotation that cannot be read counts as absent', () => {
  const lease = aLease({}, { [leaseAnnotations.duplicate]: '{', [hubAnnotations.contests]: '7' });
  assert.equal(duplicateOf(lease), undefined);
  assert.deepEqual(contestsOf(lease), []);
});

test('removals that a later Lease does not hold any more are told', () => {
  const recorded = (...items: readonly object[]): Lease =>
    aLease({}, { [leaseAnnotations.removed]: JSON.stringify(items) });
  const [a, b, c] = ['a', 'b', 'c'].map((id) => ({ id, sequence: 3 }));
  const before = recorded(a ?? {}, b ?? {}, c ?? {});
  const after = recorded({ id: 'a', sequence: 4 }, { id: 'b', sequence: 2 });
  assert.deepEqual(takenOffRecord(before, after), [b, c]);
  assert.deepEqual(takenOffRecord(before, before), []);
  assert.deepEqual(takenOffRecord(before, aLease()), [a, b, c]);
});
