/** The tunnel whole: a hub and agents over real TLS on loopback. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { aPlan, aRegion, aReport, eventually, linkOf } from './testing.ts';

test('an agent connects, gets its plans in order and hears that they are all', async () => {
  await using region = await aRegion();
  region.backend.onConnected = (link) => {
    link.sendPlan(aPlan('a'), 'hash-a');
    link.sendRemoval({ id: 'b', sequence: 2 });
    link.sendForget('c');
    link.sendSynced(['d']);
  };
  const { handler, client } = await region.agent();
  await eventually('synced', () => handler.synchronizations.length > 0);
  assert.deepEqual([...handler.plans.values()], [{ plan: aPlan('a'), hash: 'hash-a' }]);
  assert.deepEqual(handler.removals, [{ id: 'b', sequence: 2 }]);
  assert.deepEqual(handler.forgotten, ['c']);
  assert.deepEqual(handler.synchronizations, [['d']]);
  assert.equal(client.connected, true);
  const { hub, cloudlet, cloudletUid } = handler.welcomes[0]!;
  assert.deepEqual(
    { hub, cloudlet, cloudletUid },
    {
      hub: 'hub-0',
      cloudlet: 'site-1',
      cloudletUid: 'uid-1',
    },
  );
});

test('the hub learns who the site is from its certificate and what it has from its hello', async () => {
  await using region = await aRegion();
  const { handler } = await region.agent();
  const link = await linkOf(region);
  assert.equal(link.identity.cloudlet, 'site-1');
  assert.equal(link.identity.cloudletId, 'id-of-site-1');
  assert.match(link.identity.fingerprint, /^SHA256:/);
  assert.equal(link.hello.member, 'phone-1');
  assert.equal(link.hello.remoteAddress, '127.0.0.1');
  assert.ok(Math.abs(link.hello.skewMs) < 5_000);
  assert.deepEqual(link.hello.have, []);
  await eventually('the welcome', () => handler.welcomes.length === 1);
});

test('a report reaches the backend once and is acknowledged', async () => {
  await using region = await aRegion();
  const { client } = await region.agent();
  client.report(aReport('a'));
  await eventually('the report', () => region.backend.reports.length > 0);
  assert.deepEqual(region.backend.reports, [aReport('a')]);
});

test('a session is dialled back and carries bytes both ways', async () => {
  await using region = await aRegion();
  await region.agent();
  const link = await linkOf(region);
  const stream = await link.openSession(
    { id: 's/1', kind: 'exec', user: 'jane' },
    AbortSignal.timeout(5_000),
  );
  stream.write('hello');
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  assert.equal(chunk.toString(), 'hello');
  stream.destroy();
});

test('a site behind what strips ALPN comes in by WebSocket', async () => {
  await using region = await aRegion();
  const { client } = await region.agent({ firstWay: 'websocket' });
  const link = await linkOf(region);
  assert.equal(link.hello.remoteAddress, '127.0.0.1');
  await eventually('connected', () => client.connected);
});
