import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger, systemClock } from '../base/index.ts';
import { createClient } from './client.ts';
import { type RecordedEvent, createEventRecorder } from './events.ts';
import { accessTo, json, serve } from './testing/harness.ts';

const event: RecordedEvent = {
  regarding: {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'AppInst',
    metadata: { name: 'web', namespace: 'shop', uid: 'u' },
  },
  type: 'Warning',
  reason: 'NoSite',
  action: 'Place',
  note: 'no site fits',
};

async function aRecorder(code = 201) {
  const server = await serve((_, response) => json(response, code, { metadata: {}, message: 'm' }));
  const fake = new FakeClock();
  // Deadlines run on the real clock, the time of events on the fake one.
  const clock = { ...systemClock, now: () => fake.now() };
  const client = createClient({
    access: accessTo(server.url),
    clock,
    logger: silentLogger,
    userAgent: 't',
  });
  const recorder = createEventRecorder({
    client,
    controller: 'edge.cloudlet.dev/operator',
    instance: 'pod-1',
    clock,
    logger: silentLogger,
  });
  return {
    server,
    fake,
    recorder,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('an event is written about its object, in its namespace', async () => {
  await using fixture = await aRecorder();
  fixture.recorder.record({ ...event, note: 'x'.repeat(5_000) });
  await fixture.recorder.flush();
  const [asked] = fixture.server.asked;
  assert.equal(asked?.url, '/apis/events.k8s.io/v1/namespaces/shop/events');
  const body = JSON.parse(asked?.body ?? '') as Record<string, unknown> & { note: string };
  assert.equal(body.note.length, 1_024);
  assert.equal(body['reportingController'], 'edge.cloudlet.dev/operator');
  assert.deepEqual(body['regarding'], {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'AppInst',
    name: 'web',
    namespace: 'shop',
    uid: 'u',
  });
});

test('the same event again counts up its series, at most once a minute', async () => {
  await using fixture = await aRecorder();
  for (let i = 0; i < 5; i++) fixture.recorder.record(event);
  await fixture.fake.advance(60_000);
  fixture.recorder.record(event);
  fixture.recorder.record({ ...event, reason: 'Other' });
  await fixture.recorder.flush();
  assert.deepEqual(
    fixture.server.asked.map(({ method }) => method),
    ['POST', 'PATCH', 'POST'],
  );
  const patch = JSON.parse(fixture.server.asked[1]?.body ?? '') as { series: { count: number } };
  assert.equal(patch.series.count, 6);
});

test('after ten quiet minutes the same event is a new one', async () => {
  await using fixture = await aRecorder();
  fixture.recorder.record(event);
  await fixture.fake.advance(10 * 60_000);
  fixture.recorder.record(event);
  await fixture.recorder.flush();
  assert.deepEqual(
    fixture.server.asked.map(({ method }) => method),
    ['POST', 'POST'],
  );
});

test('a refused event fails nobody, and a flood is cut', async () => {
  await using fixture = await aRecorder(403);
  for (let i = 0; i < 1_000; i++) fixture.recorder.record({ ...event, note: `note ${i}` });
  await fixture.recorder.flush();
  assert.equal(fixture.server.asked.length, 200);
});
