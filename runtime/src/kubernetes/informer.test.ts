import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger } from '../base/index.ts';
import { createInformer } from './informer.ts';
import { FaultServer, type Thing } from './testing/fault-server.ts';
import { caughtUp, follow, impatient } from './testing/following.ts';
import { clientOf, things, until } from './testing/harness.ts';
import type { InformerOptions } from './types.ts';

test('the cache holds what the server has, page by page', async () => {
  await using fixture = await follow({
    listTimeoutMs: 30_000, // lists are counted: none may be tried again because this machine is busy
    prepare: (server) => {
      server.pageSize = 10;
      for (let i = 0; i < 35; i++) server.put(`thing-${i}`, i);
    },
  });
  await fixture.informer.synced();
  assert.equal(fixture.informer.cache.size, 35);
  const lists = fixture.server.requests.filter((each) => !each.includes('watch=true'));
  assert.equal(lists.length, 4);
  assert.equal(fixture.informer.cache.get('thing-7')?.kind, 'Thing');
});

test('a page token that expired means one list in one piece', async () => {
  await using fixture = await follow({
    listTimeoutMs: 30_000,
    prepare: (server) => {
      server.pageSize = 2;
      for (let i = 0; i < 5; i++) server.put(`thing-${i}`, i);
      const push = server.requests.push.bind(server.requests);
      server.requests.push = (...lines) => {
        if (server.requests.length === 1) {
          server.put('late', 1);
          server.compact();
        }
        return push(...lines);
      };
    },
  });
  await caughtUp(fixture);
  const lists = fixture.server.requests.filter((each) => !each.includes('watch=true'));
  assert.equal(lists.length, 3);
  assert.ok(!lists[2]?.includes('limit'), lists[2]);
});

test('managedFields are dropped on the way in', async () => {
  await using fixture = await follow({ prepare: (server) => void server.put('listed', 1) });
  await fixture.informer.synced();
  fixture.server.put('watched', 1);
  await caughtUp(fixture);
  for (const { metadata } of fixture.informer.cache.list())
    assert.equal((metadata as { managedFields?: unknown }).managedFields, undefined);
});

test('changes come as Added, Updated with the old object, and Deleted', async () => {
  const updates: number[][] = [];
  await using fixture = await follow({
    onEvent: (event) => {
      if (event.type === 'Updated') updates.push([event.old.spec.value, event.object.spec.value]);
    },
  });
  await fixture.informer.synced();
  fixture.server.put('a', 1);
  fixture.server.put('a', 2);
  fixture.server.remove('a');
  await until(
    () => fixture.events.length === 3,
    () => fixture.events.join(),
  );
  assert.deepEqual(fixture.events, ['Added a', 'Updated a', 'Deleted a']);
  assert.deepEqual(updates, [[1, 2]]);
});

test('a cache is current from its list on, not while the server cannot be followed, and again after', async () => {
  await using fixture = await follow({ idleMs: 10_000, backoff: { baseMs: 100, maxMs: 100 } });
  const { informer, server } = fixture;
  assert.equal(informer.isCurrent, false);
  await informer.synced();
  assert.equal(informer.isCurrent, true);
  server.plan.push('reset', 'unavailable', 'unavailable');
  server.resetAll();
  const isCurrent = (wanted: boolean): Promise<void> =>
    until(
      () => informer.isCurrent === wanted,
      () => `current is not ${wanted}`,
    );
  await isCurrent(false);
  server.put('meanwhile', 1);
  await isCurrent(true);
  assert.ok(informer.cache.get('meanwhile'), 'what was missed came first');
  server.plan.push('gone');
  server.resetAll();
  await isCurrent(false);
  await isCurrent(true);
});

test('an object deleted and made again during a gap is told as Deleted, then Added', async () => {
  await using fixture = await follow({ prepare: (server) => void server.put('a', 1) });
  await fixture.informer.synced();
  fixture.events.length = 0;
  fixture.server.plan.push('gone');
  fixture.server.resetAll();
  fixture.server.remove('a');
  fixture.server.put('a', 2);
  fixture.server.compact();
  await caughtUp(fixture);
  assert.deepEqual(fixture.events, ['Deleted a', 'Added a']);
});

test('a delete during a gap is told after the list', async () => {
  await using fixture = await follow({
    prepare: (server) => {
      server.put('stays', 1);
      server.put('goes', 1);
    },
  });
  await fixture.informer.synced();
  fixture.events.length = 0;
  fixture.server.resetAll();
  fixture.server.remove('goes');
  fixture.server.compact();
  await caughtUp(fixture);
  assert.deepEqual(fixture.events, ['Deleted goes']);
});

test('after a reset it resumes from the last version and lists nothing', async () => {
  await using fixture = await follow({ prepare: (server) => void server.put('a', 1) });
  await fixture.informer.synced();
  await until(
    () => fixture.server.watchers === 1,
    () => 'a watch',
  );
  fixture.server.put('b', 1);
  await caughtUp(fixture);
  fixture.server.resetAll();
  fixture.server.put('c', 1);
  await caughtUp(fixture);
  const lists = fixture.server.requests.filter((each) => !each.includes('watch=true'));
  assert.equal(lists.length, 1);
  assert.match(fixture.server.requests.at(-1) ?? '', /resourceVersion=3/);
});

test('a bookmark moves the version from which it resumes', async () => {
  await using fixture = await follow();
  await until(
    () => fixture.server.watchers === 1,
    () => 'a watch',
  );
  fixture.server.put('a', 1);
  await caughtUp(fixture);
  const before = fixture.informer.lastProgress;
  fixture.server.bookmark();
  await until(
    () => fixture.informer.lastProgress > before,
    () => 'progress by the bookmark',
  );
  assert.match(fixture.server.requests.at(-1) ?? '', /allowWatchBookmarks=true/);
});

test('a handler that throws disturbs neither the cache nor other handlers', async () => {
  const lines: string[] = [];
  await using fixture = await follow({
    logger: createLogger({ write: (line) => void lines.push(line) }),
  });
  let told = 0;
  fixture.informer.subscribe(() => {
    throw new Error('a bug');
  });
  fixture.informer.subscribe(() => told++);
  await fixture.informer.synced();
  fixture.server.put('a', 1);
  fixture.server.put('b', 1);
  await caughtUp(fixture);
  assert.equal(told, 2);
  assert.ok(lines.some((line) => line.includes('a handler threw') && line.includes('a bug')));
});

test('who subscribes late is told what is there, and nothing after it left', async () => {
  await using fixture = await follow({ prepare: (server) => void server.put('a', 1) });
  await fixture.informer.synced();
  const told: string[] = [];
  const subscription = fixture.informer.subscribe((event) => told.push(event.type));
  assert.deepEqual(told, ['Added']);
  subscription.unsubscribe();
  fixture.server.put('b', 1);
  await caughtUp(fixture);
  assert.deepEqual(told, ['Added']);
});

test('an index follows its objects, and a transform keeps less of them', async () => {
  const options: InformerOptions<Thing> = {
    indexes: { parity: ({ spec }) => [spec.value % 2 === 0 ? 'even' : 'odd'] },
    transform: (object) => ({ ...object, spec: { value: object.spec.value % 10 } }),
  };
  await using fixture = await follow(options);
  await fixture.informer.synced();
  fixture.server.put('a', 12);
  fixture.server.put('b', 14);
  await until(
    () => fixture.informer.cache.size === 2,
    () => 'both',
  );
  assert.deepEqual(
    fixture.informer.cache.byIndex('parity', 'even').map((each) => each.spec.value),
    [2, 4],
  );
  fixture.server.put('a', 13);
  fixture.server.remove('b');
  await until(
    () => fixture.informer.cache.byIndex('parity', 'odd').length === 1,
    () => 'moved',
  );
  assert.deepEqual(fixture.informer.cache.byIndex('parity', 'even'), []);
  assert.throws(() => fixture.informer.cache.byIndex('colour', 'red'), /no index 'colour'/);
});

test('after it ended no handler is called and no request is sent', async () => {
  await using server = await FaultServer.start();
  const client = clientOf(server.url);
  const informer = createInformer<Thing>(client, things, impatient);
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  await informer.synced();
  await until(
    () => server.watchers === 1,
    () => 'a watch',
  );
  let told = 0;
  informer.subscribe(() => told++);
  stop.abort();
  await running;
  const { length } = server.requests;
  server.put('late', 1);
  await until(
    () => server.watchers === 0,
    () => 'the watch ends',
  );
  assert.deepEqual([told, server.requests.length], [0, length]);
  await client.close();
});

test('waiting for the first list ends with its signal', async () => {
  const client = clientOf('http://127.0.0.1:1');
  const informer = createInformer<Thing>(client, things, impatient);
  const stop = new AbortController();
  const waiting = informer.synced(stop.signal);
  stop.abort(new Error('not waiting any more'));
  await assert.rejects(waiting, /not waiting any more/);
  await client.close();
});
