import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../base/index.ts';
import { createInformer } from './informer.ts';
import { type Fault, FaultServer, type Thing, faults } from './testing/fault-server.ts';
import { caughtUp, follow, shape } from './testing/following.ts';
import { ImpatientClock, clientOf, things, until } from './testing/harness.ts';
import type { CacheEvent } from './types.ts';

for (const fault of faults) {
  test(`the cache catches up after '${fault}' on the list and on the watch`, async () => {
    await using fixture = await follow({
      prepare: (server) => {
        server.put('before', 1);
        server.plan.push(fault);
      },
    });
    await fixture.informer.synced();
    await until(
      () => fixture.server.watchers === 1,
      () => 'a watch',
    );
    fixture.server.plan.push(fault, fault);
    fixture.server.resetAll();
    fixture.server.put('meanwhile', 1);
    fixture.server.remove('before');
    await caughtUp(fixture);
    fixture.server.put('after', 1);
    await caughtUp(fixture);
  });
}

/** Runs until so many requests came, and gives the delays between the tries. */
async function delaysAgainst(plan: readonly Fault[], requests: number): Promise<readonly number[]> {
  await using server = await FaultServer.start();
  server.plan.push(...plan);
  for (let i = 0; i < requests; i++) server.put(`thing-${i}`, i);
  const clock = new ImpatientClock();
  const client = clientOf(server.url);
  const random = (): number => 0;
  const informer = createInformer<Thing>(client, things, { clock, random });
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  await until(
    () => server.requests.length > requests,
    () => `${server.requests.length}`,
  );
  stop.abort();
  await running;
  await client.close();
  return clock.sleeps;
}

test('failures are answered with delays that double, from a quarter of a second', async () => {
  const delays = await delaysAgainst(['error', 'unavailable', 'error', 'error'], 4);
  assert.deepEqual(delays.slice(0, 4), [125, 250, 500, 1_000]); // half is jitter, and the dice say 0
});

test('a server that asks for patience gets just that', async () => {
  const delays = await delaysAgainst(['too-many'], 1);
  assert.equal(delays[0], 0);
});

test('a watch that is closed in order comes back once a second, not at once', async () => {
  await using server = await FaultServer.start();
  const clock = new ImpatientClock();
  const client = clientOf(server.url);
  const informer = createInformer<Thing>(client, things, { clock });
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  await informer.synced();
  for (let i = 0; i < 5; i++) {
    server.plan.push('close-after-event');
    server.resetAll();
    server.put('a', i);
    await until(
      () => server.plan.length === 0,
      () => 'the fault',
    );
    await caughtUp({ server, informer });
  }
  stop.abort();
  await running;
  await client.close();
  const patient = clock.sleeps.filter((ms) => ms > 500 && ms <= 1_000);
  assert.ok(patient.length >= 5, `waited ${clock.sleeps.join()}`);
});

/** Events must tell a story that can be replayed: nothing added twice, updated or deleted without being there. */
function replay(model: Map<string, Thing>, event: CacheEvent<Thing>, seed: number): void {
  const { name, uid } = event.object.metadata;
  const known = model.get(name);
  const story = `seed ${seed}: ${event.type} ${name}`;
  if (event.type === 'Added') assert.equal(known, undefined, `${story} twice`);
  else assert.equal(known?.metadata.uid, uid, `${story} of an object that is not there`);
  if (event.type === 'Deleted') model.delete(name);
  else model.set(name, event.object);
}

async function runFaults(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const model = new Map<string, Thing>();
  const problems: unknown[] = [];
  await using fixture = await follow({
    random,
    onEvent: (event) => {
      try {
        replay(model, event, seed);
      } catch (error) {
        problems.push(error); // the informer would only log it
      }
    },
  });
  const { server, informer } = fixture;
  const quick = faults.filter((fault) => fault !== 'mute' && fault !== 'half-open');
  server.pageSize = 3;
  for (let step = 0; step < 25; step++) {
    const pool = random() < 0.1 ? faults : quick;
    server.plan.push(pool[Math.floor(random() * pool.length)] as Fault);
    for (let change = 0; change < 3; change++) {
      const name = `thing-${Math.floor(random() * 8)}`;
      if (random() < 0.3) server.remove(name);
      else server.put(name, Math.floor(random() * 100));
    }
    if (random() < 0.15) server.compact();
    if (random() < 0.2) server.bookmark();
    if (random() < 0.5) server.resetAll();
    await until(
      () => server.plan.length < 4 || server.watchers > 0,
      () => 'faults are used up',
    );
    if (server.watchers > 0) server.resetAll();
  }
  await until(
    () => {
      if (server.watchers > 0 && server.plan.length > 0) server.resetAll();
      return server.plan.length === 0;
    },
    () => `seed ${seed}: ${server.plan.join()} are left`,
  );
  await caughtUp(fixture);
  assert.deepEqual(problems, []);
  assert.deepEqual(shape(model.values()), shape(server.objects.values()), `seed ${seed}`);
  assert.deepEqual(shape(informer.cache.list()), shape(server.objects.values()), `seed ${seed}`);
  return server.injected;
}

test('whatever the connection does, cache and events end up equal to the server', async () => {
  let injected = 0;
  for (let batch = 0; batch < 5; batch++) {
    const seeds = Array.from({ length: 8 }, (_, i) => batch * 8 + i + 1);
    for (const count of await Promise.all(seeds.map(runFaults))) injected += count;
  }
  assert.equal(injected, 1_000);
});
