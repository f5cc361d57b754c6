import assert from 'node:assert/strict';
import type { RequestListener } from 'node:http';
import test from 'node:test';
import { FakeClock, NotFoundError, systemClock } from '@cloudlet/runtime/base';
import { callDeadlineMs, Engine, engineError } from './engine.ts';
import { engineThat } from './testing.ts';

const saying =
  (status: number, message: string): RequestListener =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message }));
  };

const cases: readonly [number, string, object][] = [
  [
    500,
    'rpc error: code = Unknown desc = The swarm does not have a leader.',
    { reason: 'QuorumLost' },
  ],
  [500, 'raft: failed to process the request: node lost leader status', { reason: 'QuorumLost' }],
  [503, 'This node is not a swarm manager.', { reason: 'NotASwarmManager' }],
  [404, 'service x not found', { name: 'NotFoundError' }],
  [409, 'name conflicts with an existing object', { name: 'ConflictError' }],
  [500, 'rpc error: code = Unknown desc = update out of sequence', { name: 'ConflictError' }],
  [400, 'invalid mount', { reason: 'InvalidSpec', permanent: true }],
  [500, 'something broke', { reason: 'DeployFailed', permanent: false }],
];

for (const [status, message, expected] of cases) {
  test(`${status} ${message.slice(-40)}`, async (context) => {
    const engine = await engineThat(context, saying(status, message));
    await assert.rejects(engine.nodes(), expected);
  });
}

test('an engine that is not there is unreachable', async () => {
  const engine = new Engine({ socketPath: '/nowhere/docker.sock', clock: systemClock });
  await assert.rejects(engine.info(), { reason: 'EngineUnreachable' });
});

test('a call that gets no answer ends at its deadline', async (context) => {
  const clock = new FakeClock();
  const engine = await engineThat(context, () => undefined, clock);
  const call = assert.rejects(engine.nodes(), { reason: 'EngineUnreachable' });
  await clock.advance(callDeadlineMs);
  await call;
});

test('an abort ends a call with its own reason', async (context) => {
  const engine = await engineThat(context, () => undefined);
  const stop = new AbortController();
  const call = assert.rejects(engine.nodes(stop.signal), /enough/);
  stop.abort(new Error('enough'));
  await call;
});

test('DOCKER_HOST is not looked at', async (context) => {
  process.env['DOCKER_HOST'] = 'tcp://192.0.2.1:1';
  context.after(() => void delete process.env['DOCKER_HOST']);
  const engine = await engineThat(context, (_, response) => response.end('[]'));
  assert.deepEqual(await engine.nodes(), []);
});

test('a network that goes while it is removed counts as absent, though the engine calls it its own error', () => {
  const failure = { statusCode: 500, json: { message: 'network abc123 not found' } };
  assert.ok(
    engineError('remove network shop_default', failure, '/run/engine') instanceof NotFoundError,
  );
});
