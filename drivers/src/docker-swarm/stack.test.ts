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
const options = { stack: 'web-abcde', ipvs: true, overlayEncrypted: false };
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
