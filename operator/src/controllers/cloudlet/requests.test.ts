import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { agentSigner, type Cloudlet } from '@cloudlet/crds';
import { createAgentCsr, createAuthority, createKey, readCsr } from '@cloudlet/tunnel';
import { aCloudlet } from '../../builders.ts';
import type { CertificateSigningRequest } from '../../kinds.ts';
import { joinRecordOf, mintJoin } from './join.ts';
import { isPending, judgeRequest, keysOf, memberAnnotation, signRequest } from './requests.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const csr = await createAgentCsr(createKey(), 'edge1');
const { fingerprint } = await readCsr(csr);
const request = (pem = csr): CertificateSigningRequest => ({
  metadata: { name: 'edge-edge1-1', annotations: { [memberAnnotation]: 'phone-1' } },
  spec: {
    request: Buffer.from(pem).toString('base64'),
    signerName: agentSigner,
    usages: ['client auth'],
  },
});
const bound = { cloudletId: 'id-edge1', expiresAt: '2026-01-02T00:00:00Z', boundKey: fingerprint };
const known = { status: { keys: [{ fingerprint, acceptedAt: '2025-01-01T00:00:00Z' }] } };
const leaving = { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } };
const judge = async (cloudlet: Cloudlet, join?: typeof bound, pem?: string) =>
  (await judgeRequest(request(pem), cloudlet, join, now)).verdict;

for (const [title, cloudlet, join] of [
  ['the join token is bound to', aCloudlet(), bound],
  ['a person accepted', aCloudlet({ spec: { acceptedKeys: [fingerprint] } }), undefined],
  ['is known', aCloudlet(known), undefined],
  [
    'is known, though the Cloudlet is being deleted',
    aCloudlet({ ...known, ...leaving }),
    undefined,
  ],
] as const)
  test(`a key that ${title} gets a certificate`, async () => {
    const verdict = await judge(cloudlet, join);
    assert.equal(verdict.kind, 'Sign');
    assert.equal(verdict.kind === 'Sign' && verdict.key.member, 'phone-1');
  });

for (const [title, cloudlet, join, reason] of [
  ['nobody knows', aCloudlet(), undefined, 'UnknownKey'],
  [
    'a token of an earlier Cloudlet is bound to',
    aCloudlet(),
    { ...bound, cloudletId: 'old' },
    'UnknownKey',
  ],
  [
    'is not the one that the token is bound to',
    aCloudlet(),
    { ...bound, boundKey: 'SHA256:x' },
    'UnknownKey',
  ],
  [
    'is known to a revoked Cloudlet',
    aCloudlet({ ...known, spec: { revoked: true } }),
    bound,
    'Revoked',
  ],
  [
    'was taken out of the list that let it in',
    aCloudlet({ status: { keys: [{ fingerprint, acceptedBy: 'AcceptedKeys' }] } }),
    undefined,
    'UnknownKey',
  ],
  [
    'is revoked, though the token is bound to it,',
    aCloudlet({ ...known, spec: { revokedKeys: [fingerprint] } }),
    bound,
    'Revoked',
  ],
  ['is new to a Cloudlet that is being deleted', aCloudlet(leaving), bound, 'Deleting'],
] as const)
  test(`a key that ${title} gets none`, async () => {
    const verdict = await judge(cloudlet, join);
    assert.equal(verdict.kind === 'Deny' && verdict.reason, reason);
  });

test('a request that is no request is denied', async () => {
  const verdict = await judge(aCloudlet(known), bound, 'nonsense');
  assert.equal(verdict.kind === 'Deny' && verdict.reason, 'InvalidRequest');
});

test('a request is answered once', () => {
  assert.equal(isPending(request()), true);
  assert.equal(isPending({ ...request(), status: { certificate: 'x' } }), false);
  assert.equal(
    isPending({ ...request(), status: { conditions: [{ type: 'Denied', status: 'True' }] } }),
    false,
  );
  const approved = { conditions: [{ type: 'Approved' as const, status: 'True' }] };
  assert.equal(isPending({ ...request(), status: approved }), true, 'approved, and not signed yet');
});

test('a certificate carries the name and the id of the Cloudlet, whatever the request says', async () => {
  const authority = await createAuthority({ now });
  const pem = await signRequest(authority, request(), aCloudlet({ name: 'edge2' }), now);
  const certificate = new X509Certificate(pem);
  assert.equal(certificate.subject, 'CN=edge:cloudlet:edge2');
  assert.equal(certificate.subjectAltName, 'URI:urn:cloudlet:edge2:id-edge2');
});

test('keys on record stay, new ones join them, and a Cloudlet without status knows the bound one', async () => {
  const other = { fingerprint: 'SHA256:other', notAfter: '2026-02-01T00:00:00Z' };
  const judged = await judgeRequest(request(), aCloudlet(), bound, now);
  const keys = keysOf(aCloudlet({ status: { keys: [other] } }), bound, [judged], now);
  assert.deepEqual(
    new Set(keys.map((key) => key.fingerprint)),
    new Set(['SHA256:other', fingerprint]),
  );
  assert.deepEqual(
    keysOf(aCloudlet({ status: {} }), bound, [], now).map((key) => key.fingerprint),
    [fingerprint],
  );
});

test('a key goes from the record when it is taken out of the list that let it in, or is revoked', () => {
  const of = (spec: Partial<Cloudlet['spec']>, key: object, join?: typeof bound) =>
    keysOf(aCloudlet({ spec, status: { keys: [{ fingerprint, ...key }] } }), join, [], now);
  const listed = { acceptedBy: 'AcceptedKeys' } as const;
  assert.deepEqual(of({ acceptedKeys: [fingerprint] }, listed), [{ fingerprint, ...listed }]);
  assert.deepEqual(of({ acceptedKeys: [] }, listed), []);
  assert.deepEqual(of({}, { acceptedBy: 'JoinToken' }).length, 1, 'a token is no list');
  assert.deepEqual(of({ revokedKeys: [fingerprint] }, { acceptedBy: 'JoinToken' }, bound), []);
});

test('what let a key in is written down, also for one of before that was', () => {
  const before = (spec: Partial<Cloudlet['spec']>, join?: typeof bound) =>
    keysOf(aCloudlet({ spec, status: { keys: [{ fingerprint }] } }), join, [], now)[0]?.acceptedBy;
  assert.equal(before({ acceptedKeys: [fingerprint] }), 'AcceptedKeys');
  assert.equal(before({ acceptedKeys: [fingerprint] }, bound), 'JoinToken');
  assert.equal(before({}), 'JoinToken', 'nobody is cut off by an upgrade');
});

test('a join Secret says of whom it is and until when, and a damaged one says nothing', () => {
  const addresses = { hub: 'hub:1', enroll: 'hub:2', caPin: 'a'.repeat(64) };
  const secret = mintJoin(aCloudlet(), addresses, now);
  assert.deepEqual(joinRecordOf(secret), {
    cloudletId: 'id-edge1',
    expiresAt: '2026-01-02T00:00:00Z',
  });
  assert.equal(joinRecordOf({ ...secret, data: { join: 'x' } }), undefined);
  const clear = JSON.parse(Buffer.from(secret.data['join'] ?? '', 'base64').toString()) as {
    token: string;
  };
  assert.ok(
    !JSON.stringify({ ...secret.data, join: '' }).includes(
      Buffer.from(clear.token).toString('base64'),
    ),
  );
});
