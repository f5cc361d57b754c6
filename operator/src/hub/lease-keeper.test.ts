import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import { Registry } from 'prom-client';
import { aCloudlet } from '../builders.ts';
import type { Lease } from '../kinds.ts';
import { LeaseKeeper } from './lease-keeper.ts';
import { contestsOf, duplicateOf, holderOf } from './lease-record.ts';
import { createHubMetrics } from './metrics.ts';
import type { LeaseEdit, SiteLeases } from './site-leases.ts';
import { aLease, RecordingLink } from './testing.ts';

/** The Lease of one site, and replicas that keep it. */
function aSite() {
  let lease: Lease = aLease();
  const edit = async (_: string, change: LeaseEdit): Promise<Lease> => {
    const { annotations = {}, spec } = change(lease, Date.now()) ?? {};
    const merged = Object.entries({ ...lease.metadata.annotations, ...annotations });
    lease = {
      ...lease,
      metadata: {
        ...lease.metadata,
        annotations: Object.fromEntries(
          merged.filter((pair): pair is [string, string] => pair[1] !== null),
        ),
      },
      spec: { ...lease.spec, ...spec },
    };
    return lease;
  };
  const refused: string[] = [];
  const hub = (name: string): LeaseKeeper =>
    new LeaseKeeper({
      hubName: name,
      region: { cloudlet: () => aCloudlet(), siteLease: () => lease },
      leases: { edit } as unknown as SiteLeases,
      metrics: createHubMetrics(new Registry()),
      clock: systemClock,
      logger: silentLogger,
      onDuplicate: (_, boots) => void refused.push(...boots),
    });
  const take = async (keeper: LeaseKeeper, link: RecordingLink): Promise<void> => {
    keeper.acquire(link, () => undefined);
    await sleep(5);
  };
  return { hub, take, refused, lease: () => lease };
}

test('a sign of life of an agent that is gone takes the Lease from nobody', async () => {
  const { hub, take, refused, lease } = aSite();
  const [first, second] = [hub('hub-1'), hub('hub-2')];
  const before = new RecordingLink({ boot: 'before' });
  const now = new RecordingLink({ boot: 'now' });
  await take(first, before);
  await take(second, now);
  assert.equal(contestsOf(lease()).length, 1, 'the Lease of the one before had not run out');
  before.isThere = false; // it was killed, and its hub, which had stood still, finds what it had sent
  for (let i = 0; i < 3; i++) {
    await take(first, before);
    await take(second, now);
  }
  assert.deepEqual(holderOf(lease()), { hub: 'hub-2', boot: 'now' });
  assert.equal(contestsOf(lease()).length, 1);
  assert.equal(duplicateOf(lease()), undefined);
  assert.deepEqual(refused, []);
});

test('two that live and both say that they act are found out', async () => {
  const { hub, take, refused, lease } = aSite();
  const [first, second] = [hub('hub-1'), hub('hub-2')];
  const [one, other] = [new RecordingLink({ boot: 'one' }), new RecordingLink({ boot: 'other' })];
  for (let i = 0; i < 2; i++) {
    await take(first, one);
    await take(second, other);
  }
  assert.deepEqual(duplicateOf(lease())?.boots.sort(), ['one', 'other']);
  assert.deepEqual([...new Set(refused)].sort(), ['one', 'other']);
});
