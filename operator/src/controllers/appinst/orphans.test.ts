import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst, AppInstStatus } from '@cloudlet/crds';
import { aCondition, anAppInst } from '../../builders.ts';
import { standsWherePlaced } from './orphans.ts';

const deployed = aCondition('Deployed', 'True', 'Deployed');
const healthy = aCondition('Healthy', 'True', 'Healthy');
const status: AppInstStatus = {
  placement: { cloudlet: 'edge1', sequence: 5 },
  rollout: { revision: 'web-1', sequence: 5, generation: 1 },
  site: { uid: 'uid-web', boot: 'b', sequence: 1, placement: 5 },
  conditions: [deployed, healthy],
};

const cases: readonly (readonly [string, boolean, AppInstStatus, Partial<AppInst['spec']>?])[] = [
  ['is well', true, status],
  ['is deployed and unhealthy', false, { ...status, conditions: [deployed] }],
  ['is not deployed', false, { ...status, conditions: [healthy] }],
  ['is off, as asked for', true, { ...status, conditions: [deployed] }, { powerState: 'Off' }],
  ['is suspended', false, status, { suspend: true }],
  ['has not answered yet', false, { ...status, site: undefined }],
  [
    'runs an earlier plan',
    false,
    { ...status, rollout: { revision: 'web-1', sequence: 6, generation: 1 } },
  ],
];
for (const [what, stands, of, spec = {}] of cases)
  test(`an instance that ${what} where it is placed ${stands ? 'needs no' : 'may need the'} orphan`, () => {
    assert.equal(standsWherePlaced(anAppInst({ spec, status: of })), stands);
  });
