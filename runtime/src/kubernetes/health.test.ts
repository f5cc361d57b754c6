import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter, Registry } from 'prom-client';
import { FakeClock, silentLogger } from '../base/index.ts';
import { cachesSynced, startHealthServer, watchProgress } from './health.ts';
import { things } from './testing/harness.ts';

test('probes tell each check by name, and a failing or throwing one fails them', async () => {
  const state: { problem?: string } = {};
  const server = await startHealthServer({
    port: 0,
    host: '127.0.0.1',
    logger: silentLogger,
    live: { loop: () => undefined },
    ready: {
      caches: () => state.problem,
      other: () => {
        if (state.problem) throw new Error('broken check');
        return undefined;
      },
    },
  });
  const ask = async (path: string) => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
    return [response.status, await response.text()] as const;
  };
  assert.deepEqual(await ask('/healthz'), [200, '[+]loop ok\nok\n']);
  assert.deepEqual(await ask('/readyz'), [200, '[+]caches ok\n[+]other ok\nok\n']);
  state.problem = 'not yet listed: things';
  const failed =
    '[-]caches failed: not yet listed: things\n[-]other failed: broken check\nfailed\n';
  assert.deepEqual(await ask('/readyz?verbose'), [503, failed]);
  assert.equal((await ask('/metrics'))[0], 404);
  assert.equal((await ask('/elsewhere'))[0], 404);
  const post = await fetch(`http://127.0.0.1:${server.port}/healthz`, { method: 'POST' });
  assert.equal(post.status, 405);
  await server.close();
});

test('metrics come in the format of their registry', async () => {
  const registry = new Registry();
  new Counter({ name: 'edge_things_total', help: 'Things.', registers: [registry] }).inc(3);
  const server = await startHealthServer({
    port: 0,
    host: '127.0.0.1',
    logger: silentLogger,
    registry,
  });
  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
  assert.equal(response.headers.get('content-type'), registry.contentType);
  assert.match(await response.text(), /^edge_things_total 3$/m);
  await server.close();
});

test('a port that is taken is an error', async () => {
  const options = { host: '127.0.0.1', logger: silentLogger };
  const first = await startHealthServer({ port: 0, ...options });
  await assert.rejects(startHealthServer({ port: first.port, ...options }), /EADDRINUSE/);
  await first.close();
});

test('an informer is stuck when it neither heard nor tried anything for 15 minutes', async () => {
  const clock = new FakeClock();
  const informer = { type: things, lastAttempt: 0 };
  const check = watchProgress([informer], clock);
  await clock.advance(15 * 60_000);
  assert.equal(check(), undefined);
  await clock.advance(1);
  assert.equal(check(), 'stuck: things');
  informer.lastAttempt = clock.monotonic();
  assert.equal(check(), undefined);
});

test('a process is not ready before all its caches are full', () => {
  const informers = [
    { type: things, hasSynced: true },
    { type: { ...things, plural: 'others' }, hasSynced: false },
  ];
  assert.equal(cachesSynced(informers)(), 'not yet listed: others');
  assert.equal(cachesSynced(informers.slice(0, 1))(), undefined);
});
