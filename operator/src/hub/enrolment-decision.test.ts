import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashToken } from '@cloudlet/tunnel';
import { type EnrolmentView, rightOf, tokenVerdict } from './enrolment-decision.ts';
import type { SecretObject } from '../kinds.ts';
import { aCloudlet, aLease, fingerprint, otherFingerprint } from './testing.ts';

const now = Date.UTC(2026, 0, 1);
const token = 'a-token-of-some-length';

const view = (more: Partial<EnrolmentView> = {}): EnrolmentView => ({
  cloudlet: aCloudlet(),
  lease: aLease(),
  fingerprint: otherFingerprint,
  ...more,
});

const rightKind = (more: Partial<EnrolmentView>): string => {
  const right = rightOf('north', view(more));
  return right.kind === 'refused' ? right.reason : right.kind;
};

test('known and accepted keys have a right, others are strangers', () => {
  assert.equal(rightKind({ fingerprint }), 'known');
  assert.equal(
    rightKind({ cloudlet: aCloudlet({ acceptedKeys: [otherFingerprint] }) }),
    'accepted',
  );
  assert.equal(rightKind({}), 'stranger');
});

test('a revoked or unknown Cloudlet and a certificate of an earlier one give no right', () => {
  assert.equal(rightKind({ fingerprint, cloudlet: aCloudlet({ revoked: true }) }), 'Revoked');
  assert.equal(rightKind({ cloudlet: undefined }), 'UnknownCloudlet');
  const certificateOf = { cloudlet: 'north', cloudletId: 'earlier' };
  assert.equal(rightKind({ fingerprint, certificateOf }), 'WrongCloudlet');
});

test('a key that was taken out of the list that let it in has no right to renew, and waits', () => {
  const status = { keys: [{ fingerprint, acceptedBy: 'AcceptedKeys' as const }] };
  const listed = aCloudlet({ acceptedKeys: [fingerprint] }, status);
  assert.equal(rightKind({ fingerprint, cloudlet: listed }), 'known');
  assert.equal(rightKind({ fingerprint, cloudlet: aCloudlet({}, status) }), 'stranger');
});

test('a revoked key neither renews nor waits', () => {
  const cloudlet = aCloudlet({ revokedKeys: [fingerprint] });
  assert.equal(rightKind({ fingerprint, cloudlet }), 'Revoked');
  assert.equal(rightKind({ cloudlet }), 'stranger', 'another key');
});

test('a Cloudlet that is being deleted renews what it knows and takes no new key', () => {
  const cloudlet = aCloudlet({ acceptedKeys: [otherFingerprint] });
  const deleting = { ...cloudlet, metadata: { ...cloudlet.metadata, deletionTimestamp: 'now' } };
  assert.equal(rightKind({ fingerprint, cloudlet: deleting }), 'known');
  assert.equal(rightKind({ cloudlet: deleting }), 'Deleting');
});

function aJoin(more: Record<string, string> = {}): SecretObject {
  const fields = {
    hash: hashToken(token),
    cloudletId: 'cloudlet-id',
    expiresAt: new Date(now + 1000).toISOString(),
    ...more,
  };
  const data = Object.entries(fields).map(([key, value]) => [
    key,
    Buffer.from(value).toString('base64'),
  ]);
  return {
    metadata: { name: 'join-north' },
    data: Object.fromEntries(data) as Record<string, string>,
  };
}

const verdict = (join: SecretObject | undefined, shown = token, at = now): string => {
  const cloudlet = aCloudlet();
  const result = tokenVerdict(join, { token: shown, fingerprint: otherFingerprint, cloudlet }, at);
  return result.kind === 'refused' ? result.message : result.kind;
};

test('a token binds the first key, and that key may repeat the call, even after its end', () => {
  assert.equal(verdict(aJoin()), 'bind');
  const bound = aJoin({ boundKey: otherFingerprint });
  assert.equal(verdict(bound), 'bound');
  assert.equal(verdict(bound, token, now + 10_000), 'bound');
});

test('another key, another token, another Cloudlet and a late token are refused', () => {
  assert.match(verdict(aJoin({ boundKey: fingerprint })), /another key used/);
  assert.match(verdict(aJoin(), 'a-token-of-other-length'), /not valid here/);
  assert.match(verdict(aJoin({ cloudletId: 'earlier' })), /not valid here/);
  assert.match(verdict(aJoin(), token, now + 1000), /has expired/);
  assert.match(verdict(aJoin({ expiresAt: 'never' })), /has expired/);
  assert.match(verdict(undefined), /not valid here/);
});

test('who shows a wrong token learns nothing about the right one', () => {
  const used = aJoin({ boundKey: fingerprint });
  assert.equal(verdict(used, 'a-token-of-other-length'), verdict(undefined));
});
