import assert from 'node:assert/strict';
import { test } from 'node:test';
import { admissionOf, type AdmissionView } from './admission.ts';
import { leaseAnnotations } from '../names.ts';
import { aCloudlet, aLease, anIdentity, fingerprint } from './testing.ts';

const view = (more: Partial<AdmissionView> = {}): AdmissionView => ({
  cloudlet: aCloudlet(),
  lease: aLease(),
  justIssued: () => false,
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
  assert.equal(reasonOf(view({ cloudlet, justIssued: () => true })), 'admitted');
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
