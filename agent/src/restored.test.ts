/** A region that was restored from a backup gives a number again that the site has seen for another plan. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeDriver } from '@cloudlet/drivers/fake';
import { DriverError, FakeClock } from '@cloudlet/runtime/base';
import { aFolder, aPlan, aRemoval, hashOf, Life } from './testing/builders.ts';

const one = aPlan({ sequence: 12, replicas: 1 });
const other = aPlan({
  sequence: 12,
  replicas: 3,
  app: { name: 'shop', version: '2', revision: 'shop-r9' },
});

test('another plan of the same number is carried out, and told only then', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([one]);
  await life.pass(2_000);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  const ensure = driver.ensure.bind(driver);
  driver.ensure = () => Promise.reject(new DriverError('DeployFailed', 'not yet'));
  await life.agent.plan(other, hashOf(other));
  await life.pass(20_000);
  assert.equal(life.uplink.condition('Deployed'), 'False DeployFailed');
  assert.equal(life.uplink.latest()?.status.site.revision, undefined, 'not what runs');
  driver.ensure = ensure;
  await life.pass(60_000);
  assert.equal(driver.fake.instances.get('id-1')?.replicas, 3);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  assert.equal(life.uplink.latest()?.status.site.revision, 'shop-r9');
  assert.equal(life.store.desired.records.get('id-1')?.displaces, undefined);
  await life.stop();
});

test('an agent that ends before it carried out the other plan does so in its next life', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const driver = createFakeDriver({ clock });
  const first = await Life.start(folder, driver, clock);
  await first.connect([one]);
  await first.pass(2_000);
  await first.stop();
  const between = await Life.start(folder, createFakeDriver({ clock, leads: false }), clock);
  await between.connect([other]);
  await between.stop();
  assert.equal(driver.fake.instances.get('id-1')?.replicas ?? 1, 1);
  const second = await Life.start(
    folder,
    createFakeDriver({ clock, platform: driver.fake }),
    clock,
  );
  await second.pass(12_000);
  assert.equal(driver.fake.instances.get('id-1')?.replicas, 3);
  await second.stop();
});

test('the same plan under another hash costs nothing, as after an upgrade of the hub', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([one]);
  await life.pass(2_000);
  const reports = life.uplink.reports.length;
  await life.agent.plan({ ...one }, 'another hash');
  await life.pass(20_000);
  assert.equal(life.uplink.reports.length, reports);
  assert.equal(life.store.desired.records.get('id-1')?.displaces, undefined);
  await life.stop();
});

test('a plan of the number by which the site removed the instance is answered by that', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan({ sequence: 11 })]);
  await life.agent.remove(aRemoval({ sequence: 12 }));
  await life.pass(5_000);
  const reports = life.uplink.reports.length;
  await life.agent.plan(other, hashOf(other));
  await life.pass(5_000);
  assert.equal(life.uplink.reports.length, reports + 1, 'it says again what it did');
  const { site } = life.uplink.latest()?.status ?? {};
  assert.deepEqual([site?.removed, site?.placement], [true, 12]);
  const later = { ...other, sequence: 13 };
  await life.agent.plan(later, hashOf(later));
  await life.pass(5_000);
  assert.equal(driver.fake.instances.get('id-1')?.replicas, 3);
  await life.stop();
});

test('an orphan is told with its number, and goes by an order that is past it', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([one]);
  await life.pass(2_000);
  await life.connect([], ['id-1']);
  await life.pass(20_000);
  const orphan = { id: 'id-1', name: 'shop-id-1', sequence: 12 };
  assert.deepEqual(life.uplink.sites.at(-1)?.site.orphans, [orphan]);
  await life.agent.remove(aRemoval({ sequence: 11 }));
  await life.pass(20_000);
  assert.equal(driver.fake.instances.size, 1, 'it follows none that is older');
  await life.agent.remove(aRemoval({ sequence: 13 }));
  life.agent.synced([]);
  await life.pass(20_000);
  assert.equal(driver.fake.instances.size, 0);
  assert.deepEqual(
    [life.uplink.latest()?.status.site.removed, life.uplink.latest()?.status.site.placement],
    [true, 13],
  );
  assert.equal(life.uplink.sites.at(-1)?.site.orphans, undefined);
  await life.stop();
});

test('the end of a removal is told though the region does not know of it any more', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([one]);
  await life.pass(2_000);
  driver.failNextRemoves(3);
  await life.agent.remove(aRemoval({ sequence: 13 }));
  await life.pass(500);
  assert.equal(driver.fake.instances.size, 1);
  life.agent.synced(['id-1']); // restored, it orders the removal by a lower number, or not at all
  await life.pass(60_000);
  assert.equal(driver.fake.instances.size, 0);
  assert.equal(life.uplink.latest()?.status.site.removed, true);
  await life.stop();
});
