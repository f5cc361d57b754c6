import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { FakeClock, silentLogger } from '../base/index.ts';
import { createController } from './controller.ts';
import { Store } from './store.ts';
import { things } from './testing/harness.ts';
import type { CacheEvent, Informer, KubernetesObject } from './types.ts';

test('a flood that many workers take leaves the event loop its turns', async () => {
  let reconciles = 0;
  const controller = createController({
    name: 'test',
    logger: silentLogger,
    workers: 16,
    reconcile: async () => {
      reconciles++;
      return { kind: 'done' };
    },
  });
  for (let i = 0; i < 1_000; i++) controller.enqueue(`default/flood-${i}`);
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  let longest = 0;
  for (let before = 0; reconciles < 1_000; before = reconciles) {
    await setImmediate();
    longest = Math.max(longest, reconciles - before);
  }
  stop.abort();
  await running;
  assert.ok(longest <= 64, `a turn of ${longest}`);
});

test('what one change leads to by the dozen does not keep another change waiting', async () => {
  const users = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  const { put, seenAfter } = watching((name) => (name === 'shared' ? users : [name]));
  for (const name of ['shared', 'own']) put(name);
  assert.deepEqual(await seenAfter(users.length + 1), ['own', ...users]);
});

test('what a standby saw long ago does not keep waiting what the last leader left', async () => {
  const { put, clock, seenAfter } = watching((name) => [name]);
  const old = Array.from({ length: 100 }, (_, i) => `old-${i}`);
  for (const name of [...old, 'changed-again']) put(name);
  await clock.advance(30_000);
  for (const name of ['changed-again', 'new']) put(name);
  await clock.advance(15_000); // the Lease of a leader that died runs out
  const seen = await seenAfter(old.length + 2);
  assert.deepEqual(seen.slice(0, 2).toSorted(), ['changed-again', 'new']);
  assert.deepEqual(seen.slice(2).toSorted(), old.toSorted());
});

test('a standby forgets what went long ago, and looks at all that is there', async () => {
  const { put, remove, clock, seenAfter } = watching((name) => [name]);
  for (const name of ['stays', 'went-long-ago']) put(name);
  remove('went-long-ago');
  await clock.advance(11 * 60_000);
  put('went-lately');
  remove('went-lately');
  await clock.advance(60_000);
  assert.deepEqual((await seenAfter(2)).toSorted(), ['stays', 'went-lately']);
});

/** A controller that watches a scripted informer, and what it reconciled. */
function watching(keysOf: (name: string) => readonly string[]) {
  const store = new Store<KubernetesObject>();
  let tell: (event: CacheEvent<KubernetesObject>) => void = () => undefined;
  const informer: Informer<KubernetesObject> = {
    type: things,
    cache: store,
    subscribe(handler) {
      tell = handler;
      return { unsubscribe: () => undefined };
    },
    run: async () => undefined,
    synced: async () => undefined,
    hasSynced: true,
    isCurrent: true,
    lastProgress: 0,
  };
  const seen: string[] = [];
  const clock = new FakeClock();
  const controller = createController(
    {
      name: 'test',
      logger: silentLogger,
      reconcile: async ({ key }) => {
        seen.push(key);
        return { kind: 'done' };
      },
    },
    { clock },
  );
  controller.watches(informer, ({ metadata }) => keysOf(metadata.name));
  let versions = 0;
  return {
    clock,
    put: (name: string): void => {
      const metadata = { name, uid: name, resourceVersion: `${++versions}` };
      for (const event of store.put({ metadata })) tell(event);
    },
    remove: (name: string): void => {
      for (const event of store.remove(name)) tell(event);
    },
    /** Runs it until it saw so many keys, and a moment more. */
    seenAfter: async (count: number): Promise<readonly string[]> => {
      const stop = new AbortController();
      const running = controller.run(stop.signal);
      while (seen.length < count) await clock.advance(1);
      await clock.advance(1);
      stop.abort();
      await running;
      return seen;
    },
  };
}
