import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import { Registry } from 'prom-client';
import { createHubMetrics } from './metrics.ts';
import { Reports } from './reports.ts';
import { type Answer, failure, scriptedServer } from './scripted-server.ts';
import { aReport } from './testing.ts';

const signal = new AbortController().signal;
const fine: ReturnType<Answer> = [200, { metadata: { name: 'web', namespace: 'shop' } }];

async function applied(...answers: readonly ReturnType<Answer>[]) {
  let index = 0;
  await using server = await scriptedServer(() => answers[index++] ?? fine);
  const metrics = createHubMetrics(new Registry());
  const { client } = server;
  const reports = new Reports({ client, metrics, clock: systemClock, logger: silentLogger });
  const result = await reports.applyInstance('north', aReport(), signal);
  const refusals = (await metrics.refusals.get()).values.map(({ labels }) => labels.wall);
  return { ...result, calls: server.calls, refusals };
}

test('a report is applied as the site, as the agent, and to the status alone', async () => {
  const { result, calls } = await applied();
  assert.equal(result, 'Applied');
  const [call] = calls;
  assert.ok(call);
  assert.equal(call.method, 'PATCH');
  const { pathname, searchParams } = new URL(call.path, 'http://host');
  assert.equal(pathname, '/apis/edge.cloudlet.dev/v1alpha1/namespaces/shop/appinsts/web/status');
  assert.equal(searchParams.get('fieldManager'), 'cloudlet-agent');
  assert.equal(searchParams.get('force'), 'true');
  assert.equal(call.headers['impersonate-user'], 'system:serviceaccount:cloudlet-sites:north');
  assert.equal(call.headers['impersonate-group'], undefined);
  assert.deepEqual(call.body, {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'AppInst',
    metadata: { name: 'web', namespace: 'shop' },
    status: aReport().status,
  });
});

test('a conflict is tried again, three times in all', async () => {
  const conflict = failure(409, 'Conflict', 'changed');
  const { result, calls } = await applied(conflict, conflict);
  assert.deepEqual([result, calls.length], ['Applied', 3]);
  const { result: late } = await applied(conflict, conflict, conflict);
  assert.equal(late, 'Retry');
});

test('a refusal by policy or schema drops the report and counts the wall', async () => {
  const policy = "ValidatingAdmissionPolicy 'cloudlet-sites-appinsts' denied request: no";
  const denied = await applied(failure(403, 'Forbidden', policy));
  assert.deepEqual([denied.result, denied.refusals], ['Dropped', ['policy']]);
  const invalid = await applied(failure(422, 'Invalid', 'status.site.boot: too long'));
  assert.deepEqual([invalid.result, invalid.refusals], ['Dropped', ['schema']]);
});

test('a report of what is gone is dropped, and no refusal', async () => {
  const { result, refusals } = await applied(failure(404, 'NotFound', 'not found'));
  assert.deepEqual([result, refusals], ['Dropped', []]);
});

test('what time or the installation may heal is kept: no right, no credentials, no server', async () => {
  for (const answer of [
    failure(403, 'Forbidden', 'User cannot patch resource'),
    failure(500, 'InternalError', 'etcd'),
    failure(503, 'ServiceUnavailable', 'starting'),
  ]) {
    const { result, refusals } = await applied(answer, answer, answer, answer, answer);
    assert.deepEqual([result, refusals], ['Retry', []], JSON.stringify(answer[1]));
  }
});
