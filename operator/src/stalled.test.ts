/** What stalls the kinds that an AppInst names; an AppInst has a test of its own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cloudlet, Condition } from '@cloudlet/crds';
import { aCloudlet, aCluster, aCondition, anApp, someTime } from './builders.ts';
import { statusOf as appStatus } from './controllers/app/conditions.ts';
import {
  type Result as CloudletResult,
  statusOf as cloudletStatus,
} from './controllers/cloudlet/conditions.ts';
import { statusOf as clusterStatus } from './controllers/cluster/conditions.ts';

const at = (seconds: number): number => Date.parse(someTime) + seconds * 1000;
const stalledIn = (status: { conditions?: readonly Condition[] | undefined }) =>
  status.conditions?.find(({ type }) => type === 'Stalled')?.reason;
const notReady = { conditions: [aCondition('Ready', 'False', 'X')] };

test('an App is stalled by what is wrong in it, and by a Flavor that stays away', () => {
  const stalled = (reason: string, seconds: number): string | undefined =>
    stalledIn(
      appStatus({
        app: anApp({ status: notReady }),
        now: at(seconds),
        instances: 0,
        problem: { reason, message: 'why' },
      }),
    );
  assert.equal(stalled('InvalidCompose', 9), undefined);
  assert.equal(stalled('InvalidCompose', 10), 'InvalidCompose');
  assert.equal(stalled('FlavorNotFound', 59), undefined);
  assert.equal(stalled('FlavorNotFound', 60), 'FlavorNotFound');
  assert.equal(stalled('InUse', 9999), undefined, 'it is about to be deleted');
});

test('a Cluster is stalled without its Cloudlet, not by one that is cut off', () => {
  const cluster = { ...aCluster(), status: notReady };
  const stalled = (cloudlet: Cloudlet | undefined, seconds: number): string | undefined =>
    stalledIn(clusterStatus({ cluster, now: at(seconds), cloudlet, instances: 0 }));
  assert.equal(stalled(undefined, 59), undefined);
  assert.equal(stalled(undefined, 60), 'CloudletNotFound');
  const lost = aCloudlet({ status: { conditions: [aCondition('Ready', 'Unknown', 'X')] } });
  assert.equal(stalled(lost, 9999), undefined);
});

const connected: CloudletResult['connection'] = {
  status: 'True',
  reason: 'Connected',
  message: '',
};

function cloudletStalls(
  seconds: number,
  conditions: readonly Condition[],
  more: Partial<CloudletResult> & { readonly spec?: Partial<Cloudlet['spec']> } = {},
): string | undefined {
  const { spec = {}, ...result } = more;
  return stalledIn(
    cloudletStatus({
      cloudlet: aCloudlet({ spec, status: { conditions: [...conditions] } }),
      now: at(seconds),
      connection: connected,
      keys: [],
      waiting: [],
      ledger: undefined,
      isZoneMissing: false,
      ...result,
    }),
  );
}

test('a Cloudlet is stalled by a platform that stays broken while the site is connected', () => {
  const broken = aCondition('PlatformReady', 'False', 'EngineUnreachable');
  const linked = aCondition('Connected', 'True', 'Connected');
  assert.equal(cloudletStalls(299, [linked, broken]), undefined);
  assert.equal(cloudletStalls(300, [linked, broken]), 'EngineUnreachable');
  const justNow = { ...linked, lastTransitionTime: new Date(at(200)).toISOString() };
  assert.equal(cloudletStalls(499, [justNow, broken]), undefined, 'it has just come back');
  assert.equal(cloudletStalls(9999, [linked]), undefined, 'it has not said anything yet');
});

test('a Cloudlet is stalled by agents that fight for it, and by a Zone that stays away', () => {
  const duplicate = { status: 'False', reason: 'DuplicateAgent', message: '' } as const;
  assert.equal(cloudletStalls(1, [], { connection: duplicate }), 'DuplicateAgent');
  const mismatch = { ...duplicate, reason: 'VersionMismatch' } as const;
  assert.equal(cloudletStalls(1, [], { connection: mismatch }), 'VersionMismatch');
  const zone = { isZoneMissing: true, spec: { zoneRef: { name: 'z' } } };
  assert.equal(cloudletStalls(59, notReady.conditions, zone), undefined);
  assert.equal(cloudletStalls(60, notReady.conditions, zone), 'ZoneNotFound');
});

test('a Cloudlet that never joined, is cut off, revoked or drains waits for nobody to mend it', () => {
  const broken = aCondition('PlatformReady', 'False', 'EngineUnreachable');
  const never = { status: 'False', reason: 'NeverConnected', message: '' } as const;
  const lost = { status: 'False', reason: 'SiteUnreachable', message: '' } as const;
  for (const more of [
    { connection: never },
    { connection: lost },
    { spec: { revoked: true } },
    { spec: { maintenance: 'Drain' as const } },
  ]) {
    const conditions = 'spec' in more ? [] : [broken];
    assert.equal(cloudletStalls(9999, conditions, more), undefined, JSON.stringify(more));
  }
});
