import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeDriver, FakePlatform } from '@cloudlet/drivers/fake';
import { DriverError, FakeClock } from '@cloudlet/runtime/base';
import { aFolder, aPlan, aRemoval, hashOf, Life, openTestStore } from './testing/builders.ts';

test('a plan is on disk before anything is done and ends deployed and healthy', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const driver = createFakeDriver({ clock });
  const life = await Life.start(folder, driver, clock);
  await life.connect();
  assert.equal(driver.calls.ensure, 0);
  await life.agent.plan(aPlan(), 'hash-1');
  const written = (await openTestStore(folder)).desired.records.get('id-1');
  assert.deepEqual(written?.plan, aPlan());
  await life.pass(2000);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  assert.equal(life.uplink.condition('Healthy'), 'True Healthy');
  assert.deepEqual(life.agent.have(), [{ id: 'id-1', sequence: 1, hash: 'hash-1' }]);
  await life.stop();
});

test('a roll-out that is quick costs one report', async (t) => {
  const clock = new FakeClock();
  const life = await Life.start(await aFolder(t), createFakeDriver({ clock }), clock);
  await life.connect([aPlan()]);
  await life.pass(4000);
  assert.equal(life.uplink.reports.length, 1);
  assert.deepEqual(life.uplink.latest()?.status.site, {
    uid: 'uid-id-1',
    boot: life.uplink.latest()?.status.site.boot,
    sequence: life.uplink.latest()?.status.site.sequence,
    placement: 1,
    observed: 1,
    revision: 'shop-r1',
    name: 'shop-id-1',
  });
  await life.stop();
});

test('a roll-out that lasts reports its progress', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock, startMs: [20_000, 20_000] });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(10_000);
  assert.equal(life.uplink.condition('Deployed'), 'False Progressing');
  assert.equal(life.uplink.reports.length, 1);
  await life.pass(20_000);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  await life.stop();
});

test('cut off and restarted, the agent brings up from disk what is missing', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const first = await Life.start(folder, createFakeDriver({ clock }), clock);
  await first.connect([aPlan()]);
  await first.pass(2000);
  await first.stop();
  const driver = createFakeDriver({ clock }); // the machine came up empty
  const second = await Life.start(folder, driver, clock);
  await second.pass(9_000);
  assert.equal(driver.calls.ensure, 0, 'the region may have taken it back meanwhile');
  await second.pass(3_000);
  assert.equal(driver.fake.instances.get('id-1')?.tasks[0]?.state, 'running');
  assert.deepEqual(driver.published, [aPlan()]);
  await second.stop();
});

test('a member whose disk is behind brings nothing back that was removed while it was away', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const platform = new FakePlatform({ clock });
  const first = await Life.start(folder, createFakeDriver({ clock, platform }), clock);
  await first.connect([aPlan()]);
  await first.pass(2000);
  await first.stop();
  platform.instances.delete('id-1'); // by another member
  const driver = createFakeDriver({ clock, platform });
  const second = await Life.start(folder, driver, clock);
  await second.pass(3_000);
  await second.agent.remove(aRemoval());
  await second.connect();
  await second.pass(60_000);
  assert.equal(driver.calls.ensure, 0);
  assert.equal(platform.instances.size, 0);
  await second.stop();
});

test('what is missing at a start is brought up as soon as the region has not taken it back', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const first = await Life.start(folder, createFakeDriver({ clock }), clock);
  await first.connect([aPlan()]);
  await first.pass(2000);
  await first.stop();
  const driver = createFakeDriver({ clock });
  const second = await Life.start(folder, driver, clock);
  await second.connect();
  await second.pass(2_000);
  assert.equal(driver.fake.instances.get('id-1')?.tasks[0]?.state, 'running');
  await second.stop();
});

test('when the link returns and nothing changed, nothing is touched', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const platform = new FakePlatform({ clock });
  const life = await Life.start(folder, createFakeDriver({ clock, platform }), clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  life.agent.disconnected('cut');
  await life.pass(3_600_000);
  const before = { started: platform.started, changes: platform.changes };
  const reports = life.uplink.reports.length;
  await life.connect();
  await life.pass(120_000);
  assert.deepEqual({ started: platform.started, changes: platform.changes }, before);
  assert.equal(life.uplink.reports.length, reports);
  await life.stop();
});

test('a restart of the agent calls the driver for nothing that is as planned', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const platform = new FakePlatform({ clock });
  const first = await Life.start(folder, createFakeDriver({ clock, platform }), clock);
  await first.connect([aPlan()]);
  await first.pass(2000);
  const since = first.uplink.latest()?.status.conditions;
  await first.stop();
  await clock.advance(60_000);
  const driver = createFakeDriver({ clock, platform });
  const second = await Life.start(folder, driver, clock);
  await second.connect();
  await second.pass(60_000);
  assert.equal(driver.calls.ensure, 0);
  assert.deepEqual(second.uplink.latest()?.status.conditions, since, 'times of transition stay');
  await second.stop();
});

test('an order to remove overtakes a roll-out and is reported until the region forgets it', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const driver = createFakeDriver({ clock, callMs: [1000, 1000], startMs: [60_000, 60_000] });
  const life = await Life.start(folder, driver, clock);
  await life.connect([aPlan()]);
  await life.pass(1500);
  await life.agent.remove(aRemoval());
  await life.pass(1200);
  assert.equal(driver.calls.remove, 1);
  assert.equal(driver.fake.instances.size, 0);
  assert.equal(life.uplink.latest()?.status.site.removed, true);
  assert.equal(life.uplink.latest()?.status.site.placement, 2);
  assert.deepEqual(life.agent.have(), [{ id: 'id-1', sequence: 2, hash: '', removed: true }]);
  await life.agent.forget('id-1');
  assert.deepEqual(life.agent.have(), []);
  assert.deepEqual(driver.published, []);
  await life.stop();
});

test('an order to remove is carried out after a restart without a link', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const platform = new FakePlatform({ clock });
  const failing = createFakeDriver({ clock, platform });
  const first = await Life.start(folder, failing, clock);
  await first.connect([aPlan()]);
  await first.pass(2000);
  failing.failNextRemoves(1000);
  await first.agent.remove(aRemoval());
  await first.pass(10_000);
  assert.equal(platform.instances.size, 1);
  await first.stop();
  const second = await Life.start(folder, createFakeDriver({ clock, platform }), clock);
  await second.pass(1000);
  assert.equal(platform.instances.size, 0);
  assert.deepEqual(second.agent.have(), [{ id: 'id-1', sequence: 2, hash: '', removed: true }]);
  await second.stop();
});

test('what the region does not know is never removed and is reported as an orphan', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const driver = createFakeDriver({ clock });
  const first = await Life.start(folder, driver, clock);
  await first.connect([aPlan(), aPlan({ id: 'id-2', name: 'other' })]);
  await first.pass(2000);
  await first.connect([], ['id-2']);
  await first.pass(120_000);
  assert.equal(driver.fake.instances.size, 2);
  assert.equal(driver.calls.remove, 0);
  assert.deepEqual(first.uplink.sites.at(-1)?.site.orphans, [
    { id: 'id-2', name: 'other-id-2', sequence: 1 },
  ]);
  driver.fake.vanish('id-2'); // a person pruned it
  await first.pass(1000);
  assert.deepEqual(
    first.agent.have().map(({ id }) => id),
    ['id-1'],
  );
  assert.equal(first.uplink.sites.at(-1)?.site.orphans, undefined);
  assert.equal(driver.fake.instances.size, 1, 'an orphan that was pruned does not come back');
  await first.stop();
});

test('a plan of a lower sequence is dropped, and so is one that a removal overtook', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan({ sequence: 5 })]);
  await life.agent.plan(aPlan({ sequence: 4 }), 'old');
  assert.deepEqual(life.agent.have()[0]?.sequence, 5);
  await life.agent.remove(aRemoval({ sequence: 6 }));
  await life.agent.plan(aPlan({ sequence: 6 }), 'late');
  await life.pass(2000);
  assert.equal(driver.fake.instances.size, 0);
  await life.agent.plan(aPlan({ sequence: 7 }), 'back');
  await life.pass(2000);
  assert.equal(driver.fake.instances.get('id-1')?.sequence, 7);
  await life.stop();
});

test('an order that is older than what the site has is answered by what it has', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan({ sequence: 5 })]);
  await life.pass(2000);
  const { length } = life.uplink.reports;
  await life.agent.plan(aPlan({ sequence: 4 }), 'of an older region');
  await life.agent.remove(aRemoval({ sequence: 3 }));
  const again = life.uplink.reports.slice(length).map(({ status }) => status.site.placement);
  assert.deepEqual(again, [5, 5]);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  await life.agent.remove(aRemoval({ sequence: 6 }));
  await life.pass(2000);
  await life.agent.plan(aPlan({ sequence: 4 }), 'of an older region');
  const { site } = life.uplink.latest()?.status ?? {};
  assert.deepEqual([site?.placement, site?.removed], [6, true]);
  await life.stop();
});

test('a plan with an unknown feature is answered Unsupported and keeps what runs', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const driver = createFakeDriver({ clock });
  const life = await Life.start(folder, driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  const started = driver.fake.started;
  const wanted = aPlan({ sequence: 2, requires: ['ports', 'teleport'], replicas: 3 });
  await life.agent.plan(wanted, hashOf(wanted));
  await life.pass(60_000);
  assert.equal(driver.fake.started, started);
  assert.equal(life.uplink.condition('Deployed'), 'False Unsupported');
  assert.equal(life.uplink.condition('Healthy'), 'True Healthy');
  assert.equal(life.uplink.latest()?.status.site.placement, 2);
  assert.equal(life.agent.have()[0]?.sequence, 1, 'it asks for the plan again on the next connect');
  await life.stop();
});

test('a plan that only a newer agent can read is answered Unsupported and keeps what runs', async (t) => {
  const clock = new FakeClock();
  const folder = await aFolder(t);
  const driver = createFakeDriver({ clock });
  const life = await Life.start(folder, driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  const { changes } = driver.fake;
  const { id, object } = aPlan();
  for (const [head, words] of [
    [{ id, object, sequence: 2, requires: ['ports', 'hologram'] }, /does not know hologram;/],
    [{ id, object, sequence: 3 }, /does not know all that this plan asks for; .*Upgrade the agent/],
  ] as const) {
    await life.agent.unreadable({ ...head, requires: [...(head.requires ?? [])] });
    await life.pass(60_000);
    assert.equal(life.uplink.condition('Deployed'), 'False Unsupported');
    assert.equal(life.uplink.condition('Healthy'), 'True Healthy');
    const { site, conditions = [] } = life.uplink.latest()?.status ?? {};
    assert.equal(site?.placement, head.sequence);
    assert.match(conditions.find(({ type }) => type === 'Deployed')?.message ?? '', words);
  }
  assert.equal(driver.fake.changes, changes);
  assert.equal(life.agent.have()[0]?.sequence, 1, 'it asks for the plan again on the next connect');
  await life.agent.unreadable({ id, object, sequence: 1 });
  assert.equal(life.uplink.condition('Deployed'), 'False Unsupported', 'an older one is dropped');
  await life.stop();
});

test('a suspended instance is left as it is, whatever becomes of it', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  await life.agent.plan(aPlan({ sequence: 2, suspend: true, replicas: 4 }), 'hash-2');
  const calls = driver.calls.ensure;
  driver.fake.vanish('id-1');
  await life.pass(700_000);
  assert.equal(driver.calls.ensure, calls);
  assert.equal(life.uplink.condition('Deployed'), 'Unknown Suspended');
  await life.agent.plan(aPlan({ sequence: 3 }), 'hash-3');
  await life.pass(2000);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  await life.stop();
});

test('an instance that vanished behind its back is made again', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(5000);
  driver.fake.vanish('id-1');
  await life.pass(2000);
  assert.equal(driver.fake.instances.get('id-1')?.tasks[0]?.state, 'running');
  await life.stop();
});

test('a failing driver backs off, says why, and a permanent failure waits for another plan', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  driver.failNextEnsures(1000, new DriverError('DeployFailed', 'no space on node-1'));
  await life.connect([aPlan()]);
  await life.pass(60_000);
  assert.equal(life.uplink.condition('Deployed'), 'False DeployFailed');
  assert.ok(driver.calls.ensure >= 5 && driver.calls.ensure <= 8, `${driver.calls.ensure} tries`);
  assert.equal(life.uplink.reports.length, 1, 'the same failure is one report');
  driver.failNextEnsures(1, new DriverError('ImageNotFound', 'shop:2', { permanent: true }));
  await life.agent.plan(aPlan({ sequence: 2 }), 'hash-2');
  await life.pass(60_000);
  const tries = driver.calls.ensure;
  assert.equal(life.uplink.condition('Deployed'), 'False ImageNotFound');
  await life.pass(300_000);
  assert.equal(driver.calls.ensure, tries);
  await life.agent.plan(aPlan({ sequence: 3 }), 'hash-3');
  await life.pass(2000);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  await life.stop();
});

test('an observation that breaks is begun again and nothing is restarted', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  const { started } = driver.fake;
  driver.breakObservation();
  await life.pass(0);
  const broken = life.uplink.sites.at(-1)?.conditions.find(({ type }) => type === 'PlatformReady');
  assert.deepEqual([broken?.status, broken?.reason], ['False', 'EngineUnreachable']);
  await life.pass(5000);
  const back = life.uplink.sites.at(-1)?.conditions.find(({ type }) => type === 'PlatformReady');
  assert.equal(back?.status, 'True');
  assert.equal(driver.fake.started, started);
  await life.stop();
});

test("a wrong clock is reported and times are the region's", async (t) => {
  const clock = new FakeClock();
  const life = await Life.start(await aFolder(t), createFakeDriver({ clock }), clock);
  const hour = 3_600_000;
  life.agent.welcomed({ hub: 'hub-1', cloudlet: 'berlin', cloudletUid: 'u', skewMs: hour });
  await life.pass(0);
  const report = life.uplink.sites.at(-1)?.conditions.find(({ type }) => type === 'ClockInSync');
  assert.deepEqual([report?.status, report?.reason], ['False', 'ClockWrong']);
  await life.connect([aPlan()]);
  assert.ok(life.store.site.value.lastGoodTime >= clock.now());
  await life.stop();
});
