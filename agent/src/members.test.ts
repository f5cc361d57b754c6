/** Several agents of one site: who acts, who stands by, and what each knows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeDriver, FakePlatform } from '@cloudlet/drivers/fake';
import { FakeClock } from '@cloudlet/runtime/base';
import { aFolder, aPlan, aRemoval, Life } from './testing/builders.ts';

test('the member that stands by does nothing but publish, and takes over without a restart', async (t) => {
  const clock = new FakeClock();
  const platform = new FakePlatform({ clock });
  const [one, two] = [
    createFakeDriver({ clock, platform, leads: true }),
    createFakeDriver({ clock, platform, leads: false }),
  ];
  const first = await Life.start(await aFolder(t), one, clock);
  const second = await Life.start(await aFolder(t), two, clock);
  await first.connect([aPlan()]);
  await second.connect([aPlan()]);
  await first.pass(2000);
  assert.deepEqual([two.calls.ensure, second.uplink.reports.length], [0, 0]);
  assert.deepEqual(two.published, [aPlan()]);
  assert.deepEqual([first.uplink.active, second.uplink.active], [true, false]);
  const before = { started: platform.started, changes: platform.changes };
  one.setLeads(false);
  two.setLeads(true);
  await second.pass(1000);
  assert.deepEqual([first.uplink.active, second.uplink.active], [false, true]);
  assert.equal(second.uplink.condition('Healthy'), 'True Healthy');
  assert.deepEqual({ started: platform.started, changes: platform.changes }, before);
  await second.agent.plan(aPlan({ sequence: 2, replicas: 2 }), 'hash-2');
  await second.pass(2000);
  assert.equal(platform.instances.get('id-1')?.replicas, 2);
  await first.stop();
  await second.stop();
});

const reasons = (life: Life): (string | undefined)[] =>
  life.uplink.sites.map(
    ({ conditions }) => conditions.find(({ type }) => type === 'PlatformReady')?.reason,
  );

/** A member that acted in its last life, and whose engine is gone in this one. */
async function blindFromStart(t: Parameters<typeof aFolder>[0]) {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const folder = await aFolder(t);
  const before = await Life.start(folder, driver, clock);
  await before.connect([aPlan()]);
  await before.pass(2000);
  assert.equal(before.uplink.active, true);
  await before.stop();
  const observe = driver.observe.bind(driver);
  driver.observe = () => {
    throw new Error('the engine is gone');
  };
  const life = await Life.start(folder, driver, clock);
  return { driver, life, mend: () => void (driver.observe = observe) };
}

test('a member that starts with a dead engine claims nothing, though it acted before', async (t) => {
  const { life, driver, mend } = await blindFromStart(t);
  assert.equal(life.agent.active(), false, 'not in its hello either');
  const calls = driver.calls.ensure;
  await life.connect([aPlan({ sequence: 2, replicas: 2 })]);
  await life.pass(40_000);
  assert.deepEqual([life.uplink.active, life.uplink.sites], [false, []], 'another one may act');
  assert.equal(driver.calls.ensure, calls);
  mend();
  await life.pass(40_000);
  assert.equal(life.uplink.active, true);
  assert.equal(reasons(life).at(-1), 'Serving');
  await life.stop();
});

test('a member with a dead engine speaks for the site when no other one would, and tries again to let go', async (t) => {
  const { life, driver } = await blindFromStart(t);
  await life.connect();
  await life.pass(40_000);
  const calls = driver.calls.ensure;
  life.agent.deputize(true);
  await life.pass(5_000);
  assert.equal(life.uplink.active, false, 'the others are asked first');
  life.agent.deputize(false);
  life.agent.deputize(true);
  await life.pass(1_000);
  assert.equal(life.uplink.active, true);
  assert.equal(reasons(life).at(-1), 'EngineUnreachable');
  assert.equal(driver.calls.ensure, calls, 'it changes nothing');
  await life.pass(400_000);
  assert.equal(life.uplink.active, false);
  await life.stop();
});

test('a leader whose engine falls silent lets go before the Lease is contested, and takes it back', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  driver.fake.reachable = false;
  await life.pass(10_000);
  assert.equal(life.uplink.active, true, 'engines are restarted');
  assert.equal(reasons(life).at(-1), 'EngineUnreachable');
  await life.pass(10_000);
  assert.equal(life.uplink.active, false);
  driver.fake.reachable = true;
  await life.pass(40_000);
  assert.equal(life.uplink.active, true);
  assert.equal(reasons(life).at(-1), 'Serving');
  assert.equal(driver.fake.started, 1, 'nothing was restarted');
  await life.stop();
});

test('a deputy acts though another member leads, until it is relieved or its link goes', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock, leads: false });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  assert.deepEqual([life.uplink.active, driver.calls.ensure], [false, 0]);
  life.agent.deputize(true);
  await life.pass(2000);
  assert.equal(life.uplink.active, true);
  assert.equal(life.uplink.condition('Deployed'), 'True Deployed');
  assert.equal(life.store.site.value.active, false, 'a restart does not begin as deputy');
  const calls = driver.calls.ensure;
  life.agent.deputize(false);
  await life.agent.plan(aPlan({ sequence: 2, replicas: 2 }), 'hash-2');
  await life.pass(2000);
  assert.deepEqual([life.uplink.active, driver.calls.ensure], [false, calls]);
  life.agent.deputize(true);
  await life.pass(2000);
  assert.equal(driver.fake.instances.get('id-1')?.replicas, 2);
  life.agent.disconnected('the hub is gone');
  assert.equal(life.uplink.active, false);
  await life.stop();
});

test('a deputy tells of a lost quorum, and forgets that it acted when it is relieved', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock, leads: false });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect();
  driver.fake.quorum = false;
  await life.pass(2000);
  assert.equal(life.uplink.active, false);
  life.agent.deputize(true);
  await life.pass(2000);
  const quorum = life.uplink.sites.at(-1)?.conditions.find(({ type }) => type === 'Quorum');
  assert.equal(quorum?.reason, 'QuorumLost');
  life.agent.deputize(false);
  await life.pass(2000);
  assert.equal(life.uplink.active, false);
  await life.stop();
});

test('a site that leaves removes what it has for itself, but not while instances are there', async (t) => {
  const clock = new FakeClock();
  let left = 0;
  const leave = (): Promise<void> => Promise.resolve(void left++);
  const driver = Object.assign(createFakeDriver({ clock }), { leave });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  await assert.rejects(life.agent.leave(), /1 instances are still at the site/);
  assert.equal(left, 0);
  await life.agent.remove(aRemoval());
  await life.pass(5000);
  await life.agent.leave();
  assert.equal(left, 1);
  await life.stop();
});

test('a member that stands by forgets what the acting one removed', async (t) => {
  const clock = new FakeClock();
  const life = await Life.start(await aFolder(t), createFakeDriver({ clock, leads: false }), clock);
  await life.connect([aPlan(), aPlan({ id: 'id-2' })]);
  await life.agent.remove(aRemoval());
  await life.pass(2000);
  await life.agent.forget('id-1');
  await life.agent.forget('id-2');
  assert.deepEqual(
    life.agent.have().map(({ id }) => id),
    ['id-2'],
    'what is wanted stays',
  );
  await life.stop();
});

test('without a quorum the last active member reports QuorumLost and changes wait', async (t) => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const life = await Life.start(await aFolder(t), driver, clock);
  await life.connect([aPlan()]);
  await life.pass(2000);
  driver.setLeads(false);
  driver.fake.quorum = false;
  await life.agent.plan(aPlan({ sequence: 2, replicas: 2 }), 'hash-2');
  const calls = driver.calls.ensure;
  await life.pass(60_000);
  assert.equal(driver.calls.ensure, calls);
  assert.equal(life.uplink.condition('Deployed'), 'Unknown QuorumLost');
  const quorum = life.uplink.sites.at(-1)?.conditions.find(({ type }) => type === 'Quorum');
  assert.deepEqual([quorum?.status, quorum?.reason], ['False', 'QuorumLost']);
  driver.setLeads(true);
  driver.fake.quorum = true;
  await life.pass(2000);
  assert.equal(driver.fake.instances.get('id-1')?.replicas, 2);
  await life.stop();
});
