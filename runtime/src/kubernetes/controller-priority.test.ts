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
  const users = Array.from({ length: 100 }, (_, i) => `user-${i}`);
  controller.watches(informer, ({ metadata }) =>
    metadata.name === 'shared' ? users : [metadata.name],
  );
  for (const name of ['shared', 'own'])
    for (const event of store.put({ metadata: { name, uid: name } })) tell(event);
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  while (seen.length <= users.length) await clock.advance(1);
  stop.abort();
  await running;
  assert.deepEqual(seen, ['own', ...users]);
});
