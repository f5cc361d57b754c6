/** How a site gets its certificate, and how it keeps one. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { test } from 'node:test';
import { FakeClock, silentLogger, systemClock, TooManyRequestsError } from '@cloudlet/runtime/base';
import { enroll, enrollOnce, renewalTime, type EnrollOptions } from './agent/enroll.ts';
import {
  createAgentCsr,
  createAuthority,
  createFileIdentityStore,
  createKey,
  createMemoryIdentityStore,
  fingerprintOf,
  hashToken,
  mintToken,
  parseCertificates,
  readCsr,
  signAgentCsr,
} from './identity/index.ts';
import { byTheRules, issuing, type EnrollState } from './testing-enroll.ts';
import { aRegion, eventually, linkOf, type Region } from './testing.ts';

function options(region: Region, more: Partial<EnrollOptions> = {}): EnrollOptions {
  return {
    ...{ enroll: region.enroll, cloudlet: 'site-1', member: 'phone-1' },
    ...{ store: createMemoryIdentityStore(), caPin: region.authority.pin },
    ...{ clock: systemClock, logger: silentLogger, random: () => 0 },
    ...more,
  };
}
const never = new AbortController().signal;

test('a token enrols the first key that shows it, which may repeat, and no other', async () => {
  await using region = await aRegion();
  const token = mintToken();
  region.backend.onEnroll = byTheRules(region, { tokenHash: hashToken(token), acceptedKeys: [] });
  const first = options(region, { token });
  assert.equal((await enrollOnce(first, 'direct', never)).state, 'Issued');
  assert.equal((await enrollOnce(first, 'direct', never)).state, 'Issued');
  const second = await enrollOnce(options(region, { token }), 'direct', never);
  assert.deepEqual(second, {
    ...{ state: 'Refused', reason: 'BadToken' },
    message: 'the token is of another key',
  });
});

test('the certificate is for the key that asked and chains to the region', async () => {
  await using region = await aRegion();
  region.backend.onEnroll = issuing(region);
  const stored = await enroll(options(region), never);
  const [certificate] = parseCertificates(stored.certificatePem!);
  const csr = await readCsr(await createAgentCsr(stored.keyPem, 'site-1'));
  assert.equal(fingerprintOf(certificate!.publicKey), csr.fingerprint);
  assert.equal(stored.caPem, region.authority.certificatePem);
});

test('a hub that serves others first is asked again when it says', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  let asked = 0;
  region.backend.onEnroll = (request, peer) =>
    ++asked === 1
      ? Promise.reject(new TooManyRequestsError('256 others wait already', 7_000))
      : issuing(region)(request, peer);
  const enrolling = enroll(options(region, { clock }), never);
  await eventually('it waits', () => asked === 1 && clock.pending > 0);
  await clock.advance(6_999);
  assert.equal(asked, 1);
  await clock.advance(1);
  assert.ok((await enrolling).certificatePem);
});

test('a key without a token waits, with its fingerprint told, until it is accepted', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  const state: EnrollState = { acceptedKeys: [] };
  region.backend.onEnroll = byTheRules(region, state);
  const told: string[] = [];
  const enrolling = enroll(
    options(region, {
      clock,
      onReply: (reply) => reply.state === 'Waiting' && told.push(reply.fingerprint),
    }),
    never,
  );
  await eventually('it waits', () => told.length === 1 && clock.pending > 0);
  state.acceptedKeys.push(told[0]!);
  await clock.advance(2_000);
  assert.ok((await enrolling).certificatePem);
  assert.equal(region.backend.enrolments.length, 2);
});

test('first contact with a region of another authority sends nothing', async () => {
  await using region = await aRegion();
  const other = await createAuthority();
  await assert.rejects(
    enrollOnce(options(region, { caPin: other.pin, token: mintToken() }), 'direct', never),
    /its authority has another key/,
  );
  assert.deepEqual(region.backend.enrolments, []);
});

test('an expired certificate is not let in but enrols again with the same key', async () => {
  await using region = await aRegion();
  region.backend.onEnroll = byTheRules(region, { acceptedKeys: [] });
  const monthAgo = Date.now() - 31 * 86_400_000;
  const store = await region.enrolled('site-1', { now: monthAgo });
  await region.agent({ store });
  const link = await linkOf(region);
  const { peer } = region.backend.enrolments[0]!;
  assert.equal(peer.certificate?.cloudlet, 'site-1');
  assert.ok(peer.certificate.notAfter.getTime() < Date.now());
  assert.equal(link.identity.fingerprint, peer.certificate.fingerprint);
});

test('a certificate that somebody made for himself counts for nothing at enrolment', async () => {
  await using region = await aRegion();
  const forged = await createAuthority({ commonName: 'edge:authority' });
  const keyPem = createKey();
  const { certificatePem } = await signAgentCsr(forged, {
    ...{ csrPem: await createAgentCsr(keyPem, 'site-1'), cloudlet: 'site-1' },
    ...{ cloudletId: 'id-of-site-1', now: Date.now() - 31 * 86_400_000 },
  });
  const store = createMemoryIdentityStore({ keyPem, certificatePem });
  region.backend.onEnroll = byTheRules(region, { acceptedKeys: [] });
  const reply = await enrollOnce(options(region, { store }), 'direct', never);
  assert.equal(reply.state, 'Waiting');
  assert.equal(region.backend.enrolments[0]!.peer.certificate, undefined);
});

test('a certificate of one Cloudlet asks for no other', async () => {
  await using region = await aRegion();
  region.backend.onEnroll = issuing(region);
  const store = await region.enrolled('site-1');
  const reply = await enrollOnce(options(region, { store, cloudlet: 'site-2' }), 'direct', never);
  assert.equal(reply.state === 'Refused' && reply.reason, 'WrongCloudlet');
  assert.deepEqual(region.backend.enrolments, []);
});

test('a hub that answers with a certificate for another key is not believed', async () => {
  await using region = await aRegion();
  const issue = issuing(region);
  const otherCsr = await createAgentCsr(createKey(), 'site-1');
  region.backend.onEnroll = (request, peer) => issue({ ...request, csr: otherCsr }, peer);
  const chosen = options(region);
  await assert.rejects(enrollOnce(chosen, 'direct', never), /another key or Cloudlet/);
  assert.equal((await chosen.store.load()).certificatePem, undefined);
});

test('an address that asks too often is turned away before a handshake', async () => {
  await using region = await aRegion({
    limits: { enrollPerAddress: { perSecond: 0.001, burst: 2 } },
  });
  const ask = () => enrollOnce(options(region), 'direct', never);
  await ask();
  await ask();
  await assert.rejects(ask(), { name: 'UnreachableError' });
  assert.equal(region.backend.enrolments.length, 2);
});

test('an enrolment that is too long, no JSON or not for enrolment is refused', async () => {
  await using region = await aRegion();
  const post = async (path: string, body: string): Promise<number> => {
    const [host, port] = region.enroll.split(':');
    const session = connect('https://hub', {
      createConnection: () =>
        connectTls({ host, port: Number(port), ALPNProtocols: ['h2'], rejectUnauthorized: false }),
    });
    session.on('error', () => undefined);
    const stream = session.request({ ':method': 'POST', ':path': path });
    const status = await new Promise<number>((resolve) => {
      stream.on('error', () => resolve(0));
      stream.once('close', () => resolve(0));
      stream.once('response', (headers) => resolve(headers[':status'] ?? 0));
      stream.end(body);
    });
    session.destroy();
    return status;
  };
  assert.equal(await post('/v1/enroll', '{'), 400);
  assert.equal(await post('/v1/enroll', '{"cloudlet":1}'), 400);
  assert.equal(await post('/v1/control', '{}'), 404);
  assert.equal(await post('/v1/enroll', `"${'x'.repeat(1_000_000)}"`), 0); // reset
  assert.deepEqual(region.backend.enrolments, []);
});

test('a certificate is renewed over the tunnel with a third of its life left, and then used', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion();
  region.backend.onEnroll = byTheRules(region, { acceptedKeys: [] });
  // Issued 25 days ago, so less than a third is left.
  const store = await region.enrolled('site-1', { now: Date.now() - 25 * 86_400_000 });
  const before = (await store.load()).certificatePem;
  const { handler } = await region.agent({ store, clock });
  const first = await linkOf(region);
  await eventually('it moved to the new certificate', () => handler.welcomes.length === 2);
  assert.notEqual((await store.load()).certificatePem, before);
  const second = await linkOf(region);
  assert.ok(second.identity.notAfter.getTime() > first.identity.notAfter.getTime());
  assert.equal(second.identity.fingerprint, first.identity.fingerprint);
});

test('the time of renewal leaves a third of the life, and is not the same for all', async () => {
  await using region = await aRegion();
  const { certificatePem } = await (await region.enrolled()).load();
  const end = Date.parse(parseCertificates(certificatePem!)[0]!.validTo);
  const days = (at: number): number => (end - at) / 86_400_000;
  assert.ok(Math.abs(days(renewalTime(certificatePem!, () => 0)) - 10) < 0.05);
  assert.ok(Math.abs(days(renewalTime(certificatePem!, () => 0.999)) - 11) < 0.05);
});

test('a store keeps its key to its owner and through damage of the rest', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'identity-'));
  t.after(() => rm(directory, { recursive: true }));
  const store = createFileIdentityStore(directory);
  const made = await store.load();
  assert.equal((await stat(join(directory, 'agent.key'))).mode & 0o777, 0o600);
  await using region = await aRegion();
  region.backend.onEnroll = issuing(region);
  const stored = await enroll(options(region, { store }), never);
  assert.equal(stored.keyPem.reveal(), made.keyPem.reveal());
  assert.deepEqual(await createFileIdentityStore(directory).load(), stored);
  await writeFile(
    join(directory, 'agent.crt'),
    (await readFile(join(directory, 'agent.crt'))).subarray(0, 200),
  );
  const damaged = await store.load();
  assert.equal(damaged.certificatePem, undefined);
  assert.equal(damaged.keyPem.reveal(), made.keyPem.reveal());
  await writeFile(join(directory, 'agent.key'), 'no key');
  await assert.rejects(store.load(), { name: 'InvalidError' });
});

for (const [what, offsetMs] of [
  ['behind', -7_200_000],
  ['ahead', 400 * 86_400_000],
] as const) {
  const wrong = { ...systemClock, now: () => Date.now() + offsetMs };
  const doubtful = { ...wrong, times: () => [wrong.now(), Date.now()] };

  test(`an agent whose time a hub set far ${what} connects, for its machine may be right`, async () => {
    await using region = await aRegion();
    region.backend.onEnroll = issuing(region);
    const clock = { ...systemClock, ...doubtful };
    await enroll(options(region, { clock }), never);
    const agent = await region.agent({ clock });
    await eventually('it is welcome', () => agent.handler.welcomes.length === 1);
  });

  test(`one that knows no other time than one far ${what} says which is the wrong one`, async () => {
    await using region = await aRegion();
    await assert.rejects(
      enrollOnce(options(region, { clock: { ...systemClock, ...wrong } }), 'direct', never),
      offsetMs < 0
        ? /authority is not valid at \d{4}-/
        : /expired|authority is not valid at \d{4}-/,
    );
  });
}
