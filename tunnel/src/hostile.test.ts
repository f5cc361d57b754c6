/** Peers that mean harm, or are merely broken: each costs itself alone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { WebSocket } from 'ws';
import { FakeClock } from '@cloudlet/runtime/base';
import {
  createAgentCsr,
  createAuthority,
  createKey,
  createMemoryIdentityStore,
  signAgentCsr,
  type IdentityStore,
} from './identity/index.ts';
import { parseAddress } from './index.ts';
import { aPlan, aRegion, aReport, eventually, linkOf, type Region } from './testing.ts';
import { limits, wireVersions } from './wire.ts';

/** A TLS connection with any certificate, and whether it is still open after the hub's verdict. */
async function tlsTo(
  address: string,
  store?: IdentityStore,
  more: object = {},
): Promise<TLSSocket> {
  const stored = await store?.load();
  const socket = connectTls({
    ...parseAddress(address),
    ALPNProtocols: ['h2'],
    rejectUnauthorized: false,
    key: stored?.keyPem.reveal(),
    cert: stored?.certificatePem,
    ...more,
  });
  socket.on('error', () => undefined);
  return socket;
}

async function aPeer(
  region: Region,
): Promise<{ session: ClientHttp2Session; control: ClientHttp2Stream }> {
  const socket = await tlsTo(region.hub, await region.enrolled());
  const session = connectHttp2('https://hub', { createConnection: () => socket });
  session.on('error', () => undefined);
  const control = session.request({ ':method': 'POST', ':path': '/v1/control' });
  control.on('error', () => undefined);
  return { session, control };
}

const hello = {
  ...{ t: 'hello', versions: wireVersions, boot: 'b', member: 'm', agentVersion: '1' },
  ...{ time: Date.now(), active: true, features: [], have: [] },
};
const line = (message: unknown): string => JSON.stringify(message) + '\n';
/** Resolves when the socket is closed, with an error or not. */
function closing(socket: Socket): Promise<void> {
  socket.resume(); // an end that nobody reads closes nothing
  socket.on('error', () => undefined);
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    socket.once('close', () => resolve());
  });
}
const isClosed = (peer: { session: ClientHttp2Session }) =>
  eventually('it was cut off', () => peer.session.destroyed);

test('nobody gets in without a certificate of the region', async () => {
  const outcomes: string[] = [];
  await using region = await aRegion({
    metrics: { handshake: (outcome) => void outcomes.push(outcome) },
  });
  const foreign = await createAuthority({ commonName: 'edge:authority' });
  const keyPem = createKey();
  const { certificatePem } = await signAgentCsr(foreign, {
    ...{ csrPem: await createAgentCsr(keyPem, 'site-1'), cloudlet: 'site-1', cloudletId: 'x' },
  });
  const stranger = createMemoryIdentityStore({ keyPem, certificatePem });
  const expired = await region.enrolled('site-1', { now: Date.now() - 40 * 86_400_000 });
  for (const store of [undefined, stranger, expired]) {
    const socket = await tlsTo(region.hub, store);
    await closing(socket);
  }
  assert.deepEqual(outcomes, ['Unauthorized', 'Unauthorized', 'Unauthorized']);
  assert.deepEqual(region.backend.links, []);
});

test('the hub speaks nothing older than TLS 1.3 and resumes nothing', async () => {
  await using region = await aRegion();
  const old = await tlsTo(region.hub, await region.enrolled(), { maxVersion: 'TLSv1.2' });
  await closing(old);
  assert.equal(old.getProtocol(), null);
  const store = await region.enrolled();
  const tickets: Buffer[] = [];
  const first = await tlsTo(region.hub, store);
  first.on('session', (ticket) => tickets.push(ticket));
  await once(first, 'secureConnect');
  const session = connectHttp2('https://hub', { createConnection: () => first });
  await once(session, 'remoteSettings');
  for (const ticket of tickets) {
    const again = await tlsTo(region.hub, store, { session: ticket });
    await once(again, 'secureConnect');
    assert.equal(again.isSessionReused(), false);
    again.destroy();
  }
  session.destroy();
});

test('random bytes on either port, in TLS or before it, harm nobody', async () => {
  await using region = await aRegion();
  const { client } = await region.agent();
  await eventually('connected', () => client.connected);
  for (const address of [region.hub, region.enroll])
    for (let round = 0; round < 10; round++) {
      const raw = connect(parseAddress(address));
      raw.on('error', () => undefined);
      raw.end(randomBytes(1 + round * 500));
      const secure = await tlsTo(address, await region.enrolled());
      await once(secure, 'secureConnect');
      secure.end(randomBytes(1 + round * 500));
      await Promise.all([closing(raw), closing(secure)]);
    }
  client.report(aReport('a'));
  await eventually('the report', () => region.backend.reports.length === 1);
});

test('random frames and random lines end their connection alone', async () => {
  await using region = await aRegion();
  const { client } = await region.agent({
    store: await region.enrolled('site-2'),
    cloudlet: 'site-2',
  });
  await eventually('connected', () => client.connected);
  const lines = [
    'null\n',
    '[]\n',
    '{"t":1}\n',
    '{"t":"report"}\n',
    '{"t":"hello","have":[{"id":"../x"}]}\n',
    `${'['.repeat(100_000)}\n`,
    `{"t":"${'x'.repeat(limits.maxLineBytes)}`,
    ...Array.from({ length: 10 }, () => Buffer.concat([randomBytes(300), Buffer.from('\n')])),
  ];
  for (const bytes of lines) {
    const peer = await aPeer(region);
    peer.control.write(bytes);
    await isClosed(peer);
  }
  assert.equal(region.backend.links.length, 1);
  assert.equal(region.server.links().length, 1);
});

test('messages of types to come are passed over', async () => {
  await using region = await aRegion();
  const peer = await aPeer(region);
  peer.control.write(line({ t: 'telemetry', more: 1 }) + line({ ...hello, novelty: true }));
  await linkOf(region);
  peer.control.write(line({ t: 'later' }) + line({ t: 'report', n: 0, report: aReport('a') }));
  await eventually('the report', () => region.backend.reports.length === 1);
  peer.session.destroy();
});

test('a report that the schema refuses is dropped and told so, and the link lives', async () => {
  await using region = await aRegion();
  const peer = await aPeer(region);
  let answers = '';
  peer.control.setEncoding('utf8').on('data', (chunk: string) => (answers += chunk));
  peer.control.write(line(hello));
  await linkOf(region);
  const long = aReport('b');
  peer.control.write(
    line({ t: 'report', n: 7, report: { id: 'a' } }) +
      line({ t: 'report', n: 8, report: { ...long, pad: 'x'.repeat(limits.maxReportBytes) } }),
  );
  await eventually('both answers', () => /"n":7.*Dropped[^]*"n":8.*Dropped/.test(answers));
  assert.equal(region.server.links().length, 1);
  assert.deepEqual(region.backend.reports, []);
  peer.session.destroy();
});

test('an agent of no common version is told so', async () => {
  await using region = await aRegion();
  const peer = await aPeer(region);
  let answers = '';
  peer.control.setEncoding('utf8').on('data', (chunk: string) => (answers += chunk));
  peer.control.write(line({ ...hello, versions: { min: 90, max: 99 } }));
  await eventually('the refusal', () => answers.includes('VersionMismatch'));
  assert.deepEqual(region.backend.links, []);
  peer.session.destroy();
});

test('a peer that says no hello in time is cut off', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  const peer = await aPeer(region);
  await once(peer.control, 'response');
  await clock.advance(14_000);
  assert.equal(peer.session.destroyed, false);
  await clock.advance(2_000);
  await isClosed(peer);
});

test('a connection that sends nothing is ended, and takes no place from others meanwhile', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock, limits: { maxPending: 3 } });
  const idle = [0, 1, 2].map(() => connect(parseAddress(region.hub)));
  const closed = Promise.all(idle.map(closing));
  await Promise.all(idle.map((socket) => once(socket, 'connect')));
  await closing(connect(parseAddress(region.hub))); // a fourth is turned away
  await clock.advance(16_000);
  await closed;
  const { client } = await region.agent();
  await eventually('connected', () => client.connected);
});

test('the WebSocket door opens on its path alone, and its inside asks for a certificate', async () => {
  await using region = await aRegion();
  const open = (path: string): Promise<number> =>
    new Promise((resolve) => {
      const socket = new WebSocket(`wss://${region.hub}${path}`, { rejectUnauthorized: false });
      socket.on('error', () => undefined);
      socket.once('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
      socket.once('open', () => {
        socket.send(randomBytes(500));
        socket.once('close', () => resolve(101));
      });
    });
  assert.equal(await open('/v1/control'), 404);
  assert.equal(await open('/v1/ws'), 101);
  assert.deepEqual(region.backend.links, []);
});

test('a session that nobody asked for is refused', async () => {
  await using region = await aRegion();
  const peer = await aPeer(region);
  peer.control.write(line(hello));
  await linkOf(region);
  const stream = peer.session.request({ ':method': 'POST', ':path': '/v1/sessions/guess' });
  const [headers] = (await once(stream, 'response')) as [{ ':status': number }];
  assert.equal(headers[':status'], 404);
  peer.session.destroy();
});

test('an agent that does not dial back a session costs its asker a deadline', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  const peer = await aPeer(region);
  peer.control.write(line(hello));
  const link = await linkOf(region);
  const asked = link.openSession(
    { id: 's', kind: 'logs', user: 'jane' },
    new AbortController().signal,
  );
  const refused = assert.rejects(asked, { name: 'DeadlineError' });
  await clock.advance(11_000);
  await refused;
  peer.session.destroy();
});

test('a site that does not read costs the hub references, and no other site its time', async () => {
  await using region = await aRegion();
  const peer = await aPeer(region);
  peer.control.pause();
  peer.control.write(line(hello));
  const link = await linkOf(region);
  const content = 'x'.repeat(500_000);
  for (let index = 0; index < 200; index++)
    link.sendPlan({ ...aPlan(`i${index}`), files: [{ path: 'f', content }] }, 'hash');
  const before = process.memoryUsage().external + process.memoryUsage().heapUsed;
  for (let index = 0; index < 2_000; index++)
    link.sendPlan({ ...aPlan(`i${index % 200}`, index + 1), files: [{ path: 'f', content }] }, 'h');
  const grown = process.memoryUsage().external + process.memoryUsage().heapUsed - before;
  assert.ok(grown < 16 * 1024 * 1024, `${grown} bytes for plans that nobody reads`);
  const { client } = await region.agent({
    store: await region.enrolled('site-2'),
    cloudlet: 'site-2',
  });
  await eventually('connected', () => client.connected);
  peer.session.destroy();
});

test('a flood of reports is carried one of an object and 16 at once, the latest of each', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({
    clock,
    limits: {
      reports: { perSecond: 1e6, burst: 1e6 },
      messages: { perSecond: 1e6, burst: 1e6 },
    },
  });
  let inFlight = 0;
  let most = 0;
  const busy = new Set<string>();
  region.backend.onReport = async ({ id }) => {
    assert.equal(busy.has(id), false);
    busy.add(id);
    most = Math.max(most, ++inFlight);
    await new Promise((resolve) => setImmediate(resolve));
    busy.delete(id);
    inFlight--;
    return { result: 'Applied' };
  };
  const peer = await aPeer(region);
  let answers = '';
  peer.control.setEncoding('utf8').on('data', (chunk: string) => (answers += chunk));
  peer.control.write(line(hello));
  await linkOf(region);
  for (let n = 0; n < 2_000; n++)
    peer.control.write(line({ t: 'report', n, report: aReport(`i${n % 40}`, n) }));
  await eventually('every one is answered', () => answers.split('"t":"ack"').length === 2_001);
  assert.equal(most, 16);
  const last = new Map(region.backend.reports.map((report) => [report.id, report]));
  for (let index = 0; index < 40; index++)
    assert.equal(last.get(`i${index}`)?.status.site.sequence, 1_960 + index);
  peer.session.destroy();
});

test('the session of a certificate ends with it', async () => {
  const clock = new FakeClock(Date.now());
  await using region = await aRegion({ clock });
  const store = await region.enrolled('site-1', { days: 0.0005 });
  const agent = await region.agent({ store, clock: new FakeClock(Date.now()) });
  const link = await linkOf(region);
  assert.equal(link.closed.aborted, false);
  for (let tenth = 0; tenth < 5; tenth++) {
    await clock.advance(9_000);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.match(String(link.closed.reason), /certificate expired|no byte/);
  await agent.stop();
});
