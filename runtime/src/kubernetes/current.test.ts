import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import { test } from 'node:test';
import { createLogger, FakeClock, silentLogger } from '../base/index.ts';
import { createController } from './controller.ts';
import { CurrentCaches } from './current.ts';

const aCache = (plural: string) => ({
  type: { group: '', version: 'v1', plural, kind: plural, namespaced: true },
  isCurrent: true,
});

function aSet() {
  const [apps, sites] = [aCache('apps'), aCache('sites')];
  const clock = new FakeClock();
  const lines: { message: string; behind?: string }[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as (typeof lines)[number]);
  const logger = createLogger({ level: 'info', write });
  const caches = new CurrentCaches({ clock, logger, informers: [apps, sites] });
  return { apps, sites, clock, caches, lines };
}

const { signal: never } = new AbortController();
const turn = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await setImmediate();
};

test('nobody waits for caches that follow', async () => {
  const { caches, clock } = aSet();
  await caches.wait(never);
  assert.equal(clock.pending, 0);
});

test('all wait until the last cache follows again, and a long wait is told once with its kinds', async () => {
  const { apps, sites, clock, caches, lines } = aSet();
  apps.isCurrent = sites.isCurrent = false;
  assert.deepEqual(caches.behind, ['apps', 'sites']);
  let through = 0;
  const waits = [1, 2].map(() => caches.wait(never).then(() => through++));
  await turn();
  await clock.advance(4_000);
  apps.isCurrent = true;
  await clock.advance(2_000);
  await turn();
  assert.equal(through, 0);
  assert.deepEqual(
    lines.map(({ message, behind }) => [message, behind]),
    [['nothing is reconciled: caches do not follow the API server', 'sites']],
  );
  sites.isCurrent = true;
  await clock.advance(100);
  await Promise.all(waits);
  assert.equal(through, 2);
  assert.equal(lines.length, 2);
});

test('a wait ends with the signal', async () => {
  const { apps, clock, caches } = aSet();
  apps.isCurrent = false;
  const stop = new AbortController();
  const wait = caches.wait(stop.signal);
  await turn();
  stop.abort();
  await clock.advance(100);
  await wait;
});

test('a controller acts on nothing while a cache is behind, and drops it when it has to end', async () => {
  const { apps, clock, caches } = aSet();
  const seen: string[] = [];
  const reconcile = async ({ key }: { readonly key: string }) => {
    seen.push(key);
    return { kind: 'done' } as const;
  };
  const options = { name: 'test', logger: silentLogger, workers: 2, reconcile };
  const controller = createController(options, { clock, caches });
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  apps.isCurrent = false;
  controller.enqueue('a');
  await turn();
  await clock.advance(1_000);
  await turn();
  assert.deepEqual(seen, []);
  apps.isCurrent = true;
  await clock.advance(100);
  await turn();
  assert.deepEqual(seen, ['a']);
  apps.isCurrent = false;
  controller.enqueue('b');
  await turn();
  stop.abort();
  await clock.advance(1_000);
  await running;
  assert.deepEqual(seen, ['a']);
});
