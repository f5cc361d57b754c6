import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admissionOf, type AdmissionView } from './admission.ts';
import { leaseAnnotations } from '../names.ts';
import { aCloudlet, aLease, anIdentity, fingerprint, otherFingerprint } from './testing.ts';

const view = (more: Partial<AdmissionView> = {}): AdmissionView => ({
  cloudlet: aCloudlet(),
  lease: aLease(),
  justIssued: () => undefined,
  ...more,
});

const reasonOf = (seen: AdmissionView, identity = anIdentity()): string => {
  const admission = admissionOf(identity, seen);
  return admission.admitted ? 'admitted' : admission.reason;
};

test('a known key of the Cloudlet is let in', () => {
  assert.deepEqual(admissionOf(anIdentity(), view()), { admitted: true, cloudletUid: 'uid-north' });
});

test('a key whose certificate was handed out a moment ago is let in before the cache lists it', () => {
  const cloudlet = aCloudlet({}, { keys: [] });
  assert.equal(reasonOf(view({ cloudlet })), 'UnknownKey');
  assert.equal(reasonOf(view({ cloudlet, justIssued: () => 'JoinToken' })), 'admitted');
});

test('a key that the list let in is refused when it is taken out, also a moment after its certificate', () => {
  const keys = [{ fingerprint, acceptedBy: 'AcceptedKeys' as const }];
  const listed = aCloudlet({ acceptedKeys: [fingerprint] }, { keys });
  const removed = aCloudlet({ acceptedKeys: [otherFingerprint] }, { keys });
  assert.equal(reasonOf(view({ cloudlet: listed })), 'admitted');
  assert.equal(reasonOf(view({ cloudlet: removed })), 'UnknownKey');
  const unknown = aCloudlet({}, { keys: [] });
  const justIssued = () => 'AcceptedKeys' as const;
  assert.equal(reasonOf(view({ cloudlet: unknown, justIssued })), 'UnknownKey');
});

test('a key that a join token let in does not end with the list', () => {
  const keys = [{ fingerprint, acceptedBy: 'JoinToken' as const }];
  assert.equal(reasonOf(view({ cloudlet: aCloudlet({ acceptedKeys: [] }, { keys }) })), 'admitted');
});

test('a revoked key is refused, whatever let it in, and the others of the site are not', () => {
  for (const acceptedBy of ['JoinToken', 'AcceptedKeys'] as const) {
    const keys = [{ fingerprint, acceptedBy }, { fingerprint: otherFingerprint }];
    const spec = { acceptedKeys: [otherFingerprint], revokedKeys: [fingerprint] };
    const seen = view({ cloudlet: aCloudlet(spec, { keys }), justIssued: () => acceptedBy });
    assert.equal(reasonOf(seen), 'Revoked');
    assert.equal(reasonOf(seen, anIdentity({ fingerprint: otherFingerprint })), 'admitted');
  }
});

test('a Cloudlet that is being deleted is let in: its site is cleaned through the tunnel', () => {
  const cloudlet = aCloudlet();
  const deleting = { ...cloudlet, metadata: { ...cloudlet.metadata, deletionTimestamp: 'now' } };
  assert.equal(reasonOf(view({ cloudlet: deleting })), 'admitted');
});

test('everybody else is refused with the reason that the agent acts on', () => {
  assert.equal(reasonOf(view({ cloudlet: undefined })), 'UnknownCloudlet');
  assert.equal(reasonOf(view(), anIdentity({ cloudletId: 'earlier' })), 'WrongCloudlet');
  assert.equal(reasonOf(view({ cloudlet: aCloudlet({ revoked: true }) })), 'Revoked');
  const record = { since: '', boots: ['a', 'b'], fingerprints: [fingerprint], acceptedKeys: 'x' };
  const lease = aLease({}, { [leaseAnnotations.duplicate]: JSON.stringify(record) });
  assert.equal(reasonOf(view({ lease })), 'DuplicateAgent');
});
