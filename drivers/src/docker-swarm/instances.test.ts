import assert from 'node:assert/strict';
import test from 'node:test';
import { observeInstances } from './instances.ts';
import { failedLabel, platformsLabel, sequenceLabel, servicesLabel } from './names.ts';
import { aNode, aService, aSpec, aTask, now } from './testing.ts';

const nodes = [aNode({ id: 'node-1', name: 'phone1' })];

function withLabels(labels: Record<string, string>, name = 'shop-abcde_web') {
  return aService({
    ID: name,
    Spec: aSpec({ Name: name, Labels: { ...aSpec().Labels, ...labels } }),
  });
}

test('an instance is told with its tasks, their nodes, restarts and last error', () => {
  const tasks = [
    aTask({ id: 'old', state: 'failed', desired: 'shutdown', error: 'exit 1', age: 50_000 }),
    aTask(),
  ];
  const services = [
    aService({
      Spec: aSpec({ Labels: { ...aSpec().Labels, [platformsLabel]: 'linux/amd64,linux/arm64' } }),
    }),
  ];
  assert.deepEqual(observeInstances({ services, tasks, nodes, now }).get('abcde-1'), {
    id: 'abcde-1',
    name: 'shop-abcde',
    sequence: 3,
    deployed: { status: 'True', reason: 'Deployed', message: '1 of 1 tasks run as planned' },
    healthy: { status: 'True', reason: 'Healthy', message: '1 of 1 tasks run' },
    tasks: [
      {
        name: 'shop-abcde_web.1',
        service: 'shop-abcde_web',
        node: 'phone1',
        state: 'running',
        image: 'web:1@sha256:aa',
        architecture: 'linux/amd64',
        restarts: 1,
        since: new Date(now - 30_000).toISOString(),
        error: 'exit 1',
      },
    ],
  });
});

test('the sequence is that of the plan only when all of its services bear it', () => {
  const sequenceOf = (...services: ReturnType<typeof aService>[]) =>
    observeInstances({ services, tasks: [], nodes, now }).get('abcde-1')?.sequence;
  const two = { [servicesLabel]: '2' };
  assert.equal(sequenceOf(withLabels(two)), 0);
  assert.equal(sequenceOf(withLabels(two), withLabels(two, 'db')), 3);
  assert.equal(sequenceOf(withLabels(two), withLabels({ ...two, [sequenceLabel]: '2' }, 'db')), 0);
});

test('an update that was rolled back is told until the plan changes', () => {
  const failed = JSON.stringify({ content: 'x', message: 'web: update rolled back: exit 1' });
  const services = [withLabels({ [failedLabel]: failed })];
  const tasks = [{ ...aTask(), ServiceID: 'shop-abcde_web' }];
  const seen = observeInstances({ services, tasks, nodes, now }).get('abcde-1');
  assert.equal(seen?.deployed.reason, 'RolledBack');
  assert.equal(seen.deployed.message, 'web: update rolled back: exit 1');
  assert.equal(seen.healthy.status, 'True');
});

test('a port whose backends are all deaf makes the instance unhealthy', () => {
  const inputs = { services: [aService()], tasks: [aTask()], nodes, now };
  const backends = () => [{ port: 'http', up: 0, total: 1 }];
  const seen = observeInstances(inputs, backends).get('abcde-1');
  assert.equal(seen?.healthy.reason, 'Unhealthy');
  assert.match(seen.healthy.message, /port http/);
});

test('services of nobody are no instance', () => {
  const services = [aService({ Spec: aSpec({ Labels: {} }) })];
  assert.equal(observeInstances({ services, tasks: [], nodes, now }).size, 0);
});
