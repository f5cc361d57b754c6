import assert from 'node:assert/strict';
import test from 'node:test';
import type { Plan } from '@cloudlet/crds';
import { desiredStack } from './stack.ts';

const plan: Plan = {
  id: 'abcde-1',
  sequence: 1,
  object: { namespace: 'default', name: 'web', uid: 'abcde-1', generation: 1 },
  cloudlet: 'phones',
  app: { name: 'web', version: '1', revision: 'web-1' },
  workload: { kind: 'Image', image: 'web:1' },
  replicas: 2,
};
const globalPlan: Plan = {
  ...plan,
  workload: { kind: 'Compose', compose: 'services: {a: {image: web, deploy: {mode: global}}}' },
};
const options = { stack: 'web-abcde', ipvs: true };
const specOf = (wanted: Plan) => desiredStack(wanted, options).services[0]?.spec;

test('the node labels of a Cluster become constraints of its services', () => {
  const spec = specOf({
    ...plan,
    cluster: { name: 'default/lab', nodeLabels: { room: '1.17' } },
  });
  assert.deepEqual(spec?.TaskTemplate.Placement?.Constraints, ['node.labels.room == 1.17']);
  assert.equal(specOf(plan)?.TaskTemplate.Placement?.Constraints, undefined);
});

test('switched off, counted tasks are none and global ones have no node', () => {
  assert.deepEqual(specOf({ ...plan, powerState: 'Off' })?.Mode, { Replicated: { Replicas: 0 } });
  assert.deepEqual(
    specOf({ ...globalPlan, powerState: 'Off' })?.TaskTemplate.Placement?.Constraints,
    ['node.hostname == switched-off'],
  );
});

test('a new sequence alone changes nothing but labels of the service', () => {
  const before = specOf(plan);
  const after = specOf({ ...plan, sequence: 2 });
  assert.deepEqual({ ...after, Labels: undefined }, { ...before, Labels: undefined });
});

test('instances of a Cluster share a network, where each is found by its name', () => {
  const inLab = { ...plan, cluster: { name: 'default/lab' } };
  const stack = desiredStack(inLab, options);
  const shared = stack.networks.at(-1);
  assert.match(shared?.name ?? '', /^cluster-lab-[0-9a-f]{5}$/);
  assert.deepEqual(shared?.spec?.Labels, { 'edge.cloudlet.dev/cluster': 'default/lab' });
  assert.deepEqual(stack.services[0]?.spec.TaskTemplate.Networks.at(-1), {
    Target: shared?.name,
    Aliases: ['web.default'],
  });
  const other = { ...inLab, id: 'fghij-2', object: { ...plan.object, name: 'api' } };
  const otherStack = desiredStack(other, { ...options, stack: 'api-fghij' });
  assert.equal(otherStack.networks.at(-1)?.name, shared?.name);
  assert.ok(stack.networks.every(({ name }) => name === shared?.name || name.startsWith('web-')));
  assert.equal(desiredStack(plan, options).networks.length, stack.networks.length - 1);
});

test("overlay networks are encrypted where the plan says so, the Cluster's too", () => {
  const encrypted = { ...plan, cluster: { name: 'default/lab' }, overlayEncrypted: true };
  const optionsOf = (wanted: Plan) =>
    desiredStack(wanted, options).networks.map(({ spec }) => spec?.Options ?? null);
  assert.deepEqual(optionsOf(encrypted), [{ encrypted: '' }, { encrypted: '' }]);
  assert.deepEqual(optionsOf(plan), [null]);
});
