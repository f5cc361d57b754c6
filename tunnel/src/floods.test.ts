/** A site that sends too much, of whatever kind: it is slowed down alone, and the rest of the region is not. */
import assert from 'node:assert/strict';
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from 'node:http2';
import { test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createLogger, FakeClock, systemClock } from '@cloudlet/runtime/base';
import { TokenBucket } from './rate-limit.ts';
import type { SiteLimit } from './hub/options.ts';
import { Throttle } from './hub/throttle.ts';
import { parseAddress } from './index.ts';
import { aRegion, aReport, eventually, linkOf, type Region } from './testing.ts';
import { limits, wireVersions } from './wire.ts';

interface Peer {
  readonly session: ClientHttp2Session;
  readonly control: ClientHttp2Stream;
}

async function aPeer(region: Region, cloudlet: string, identity = region.enrolled(cloudlet)) {
  const stored = await (await identity).load();
  const socket = connectTls({
    ...parseAddress(region.hub),
    ...{ ALPNProtocols: ['h2'], rejectUnauthorized: false },
    ...{ key: stored.keyPem.reveal(), cert: stored.certificatePem },
  });
  socket.on('error', () => undefined);
  const session = connectHttp2('https://hub', { createConnection: () => socket });
  session.on('error', () => undefined);
  const control = session.request({ ':method': 'POST', ':path': '/v1/control' });
  control.on('error', () => undefined);
  return { session, control } satisfies Peer;
}

const line = (message: unknown): string => JSON.stringify(message) + '\n';
const hello = line({
  ...{ t: 'hello', versions: wireVersions, boot: 'b', member: 'm', agentVersion: '1' },
  ...{ time: Date.now(), active: true, features: [], have: [] },
});

/** Counts what the region says of bounds that were hit. */
function counting() {
  const hits = new Map<SiteLimit, number>();
  const limited = (limit: SiteLimit): void => void hits.set(limit, (hits.get(limit) ?? 0) + 1);
  return { hits, metrics: { limited } };
}

test('a site that floods reports, valid and not, is slowed; the reports of another are not', async () => {
  const { hits, metrics } = counting();
  await using region = await aRegion({
    metrics,
    limits: { messages: { perSecond: 200, burst: 100 } },
  });
  const applied: string[] = [];
  region.backend.onReport = async ({ id }) => {
    applied.push(id);
    await systemClock.sleep(5); // the API server's time
    return { result: 'Applied' };
  };
  const flooder = await aPeer(region, 'flooder');
  let answers = 0;
  flooder.control.setEncoding('utf8').on('data', (chunk: string) => {
    answers += chunk.split('\n').length - 1;
  });
  flooder.control.write(hello);
  await linkOf(region);
  const agent = await region.agent({ store: await region.enrolled('quiet'), cloudlet: 'quiet' });
  await eventually('connected', () => agent.client.connected);
  const flood = Array.from({ length: 20_000 }, (_, n) =>
    n % 2 === 0
      ? line({ t: 'report', n, report: aReport(`f${n % 50}`, n) })
      : line({ t: 'report', n, report: { id: 'x'.repeat(900) } }),
  );
  flooder.control.write(flood.join(''));
  await eventually('the flood is on', () => (hits.get('Messages') ?? 0) > 0);
  const latencies: number[] = [];
  for (let turn = 1; turn <= 20; turn++) {
    const sent = performance.now();
    agent.client.report(aReport(`quiet-${turn}`, turn));
    await eventually('applied', () => applied.includes(`quiet-${turn}`));
    latencies.push(performance.now() - sent);
  }
  const middle = latencies.sort((a, b) => a - b)[10] ?? Infinity;
  assert.ok(middle < 250, `the middle one of 20 reports took ${Math.round(middle)} ms`);
  assert.ok(answers < 2_000, `${answers} of the flood were read`);
  assert.ok((hits.get('Invalid') ?? 0) > 0);
  assert.equal(region.server.links().length, 2, 'the flooder is slowed, not cut');
  flooder.session.destroy();
});

test('a site that says again and again whether it acts waits for each beyond a few', async () => {
  const clock = new FakeClock(Date.now());
  const { hits, metrics } = counting();
  await using region = await aRegion({ clock, metrics });
  let changes = 0;
  region.backend.events.on('role', () => changes++);
  const peer = await aPeer(region, 'site-1');
  peer.control.write(hello);
  await linkOf(region);
  for (let turn = 0; turn < 200; turn++)
    peer.control.write(line({ t: 'role', active: turn % 2 === 1 }));
  await eventually('held', () => hits.get('Roles') === 1);
  assert.equal(changes, 10);
  await clock.advance(2_000);
  await eventually('one more', () => changes === 11);
  peer.session.destroy();
});

test('a site that connects again and again is cut off after its handshake, and another is let in', async () => {
  const { hits, metrics } = counting();
  await using region = await aRegion({
    metrics,
    limits: { connectionsPerSite: { perSecond: 0.01, burst: 3 } },
  });
  const store = region.enrolled('busy');
  const peers: Peer[] = [];
  for (let turn = 0; turn < 6; turn++) peers.push(await aPeer(region, 'busy', store));
  await eventually('three are cut off', () => hits.get('Connections') === 3);
  await eventually('at their ends too', () => {
    return peers.filter(({ session }) => session.destroyed).length === 3;
  });
  const agent = await region.agent();
  await eventually('the other is in', () => agent.client.connected);
  for (const { session } of peers) session.destroy();
});

test('the links of a key are few: one more ends the oldest', async () => {
  const { hits, metrics } = counting();
  await using region = await aRegion({ metrics, limits: { maxLinksPerKey: 2 } });
  const store = region.enrolled('site-1');
  const peers: Peer[] = [];
  for (let turn = 1; turn <= 3; turn++) {
    const peer = await aPeer(region, 'site-1', store);
    peers.push(peer);
    peer.control.resume().write(hello);
    await eventually(`link ${turn}`, () => region.backend.links.length === turn);
  }
  const [first, second, third] = region.backend.links.map(({ closed }) => closed.aborted);
  assert.deepEqual([first, second, third], [true, false, false]);
  assert.equal(hits.get('Links'), 1);
  for (const { session } of peers) session.destroy();
});

test('what a site does wrong is logged a few times, and counted each time', async () => {
  const lines: string[] = [];
  const { hits, metrics } = counting();
  await using region = await aRegion({
    metrics,
    logger: createLogger({ write: (text) => void lines.push(text) }),
  });
  const peer = await aPeer(region, 'site-1');
  peer.control.resume().write(hello);
  await linkOf(region);
  for (let n = 0; n < 300; n++) peer.control.write(line({ t: 'report', n, report: {} }));
  await eventually('all are counted', () => hits.get('Invalid') === 300);
  const written = lines.filter((text) => text.includes('report dropped')).length;
  assert.ok(written > 0 && written <= 30, `${written} lines`);
  peer.session.destroy();
});

test('a throttle lets a burst pass and then what its rate allows', async () => {
  const clock = new FakeClock();
  let held = 0;
  const throttle = new Throttle([{ perSecond: 10, burst: 5 }], clock, () => held++);
  const never = new AbortController().signal;
  for (let turn = 0; turn < 5; turn++) await throttle.pass([1], never);
  assert.equal(held, 0);
  let passed = false;
  void throttle.pass([1], never).then(() => (passed = true));
  await clock.advance(99);
  assert.equal(passed, false);
  await clock.advance(1);
  assert.equal(passed, true);
  assert.equal(held, 1);
});

test('a large message is paid for after it came', () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ perSecond: 1_000, burst: 1_000 }, clock);
  assert.equal(bucket.spend(1_000), 0);
  assert.equal(bucket.spend(limits.maxReportBytes), Math.ceil(limits.maxReportBytes));
});
