import assert from 'node:assert/strict';
import test from 'node:test';
import { FakeClock } from '@cloudlet/runtime/base';
import type { Plan } from '@cloudlet/crds';
import { conformance } from '../conformance/index.ts';
import type { Observation } from '../driver.ts';
import { createFakeDriver, FakePlatform } from './index.ts';

conformance(
  async () => {
    const fates = { missing: 'Missing', crashing: 'Crashes' } as const;
    const driver = createFakeDriver({
      callMs: [0, 2],
      startMs: [1, 5],
      imageFate: (image) => fates[image as keyof typeof fates] ?? 'Runs',
    });
    const instance = (id: string) => driver.fake.instances.get(id);
    return {
      driver,
      images: { good: 'good', other: 'other', missing: 'missing', crashing: 'crashing' },
      left: async (id) => [
        ...(instance(id) ? ['instance'] : []),
        ...(driver.fake.volumes.has(id) ? ['volume'] : []),
      ],
      running: async (id) =>
        (instance(id)?.tasks ?? [])
          .filter((task) => task.state === 'running')
          .map((task) => `${task.name}@${task.since}`),
      patienceMs: 2000,
      close: () => driver.close(),
    };
  },
  {
    name: 'fake',
    capabilities: ['exec', 'logs', 'crashing images', 'volumes', 'checkpoints', 'replicas'],
  },
);

const never = new AbortController().signal;

function aPlan(change: Partial<Plan> = {}): Plan {
  return {
    id: 'one',
    sequence: 1,
    object: { namespace: 'shop', name: 'web', uid: 'one', generation: 1 },
    cloudlet: 'here',
    app: { name: 'web', version: '1', revision: 'web-1' },
    workload: { kind: 'Image', image: 'web:1' },
    ...change,
  };
}

async function bringUp(clock: FakeClock, ensure: () => Promise<{ kind: string }>): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const call = ensure();
    await clock.advance(1000);
    if ((await call).kind === 'Done') return;
  }
  assert.fail('never done');
}

test('the same seed takes the same time', async () => {
  const timeOf = async (seed: number): Promise<number[]> => {
    const clock = new FakeClock();
    const driver = createFakeDriver({ clock, seed, callMs: [1, 1000] });
    const times: number[] = [];
    for (let call = 0; call < 3; call++) {
      const start = clock.monotonic();
      let isBack = false;
      const ensured = driver.ensure(aPlan(), undefined, never).then(() => (isBack = true));
      while (!isBack) await clock.advance(1);
      await ensured;
      times.push(clock.monotonic() - start);
    }
    return times;
  };
  assert.deepEqual(await timeOf(7), await timeOf(7));
  assert.notDeepEqual(await timeOf(7), await timeOf(8));
});

test('ensures fail as often as asked for, then work', async () => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  driver.failNextEnsures(2);
  for (let failure = 0; failure < 2; failure++) {
    const call = assert.rejects(driver.ensure(aPlan(), undefined, never), /on demand/);
    await clock.advance(100);
    await call;
  }
  await bringUp(clock, () => driver.ensure(aPlan(), undefined, never));
});

test('without a quorum nothing can be changed, and the site says so', async () => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  driver.fake.quorum = false;
  const call = assert.rejects(driver.ensure(aPlan(), undefined, never), { reason: 'QuorumLost' });
  await clock.advance(100);
  await call;
  const site = driver.fake.observeSite(true);
  assert.equal(site.quorum?.reason, 'QuorumLost');
  assert.equal(site.platform.status, 'False');
});

test('lost tasks come back and are counted', async () => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  await bringUp(clock, () => driver.ensure(aPlan({ replicas: 2 }), undefined, never));
  driver.fake.loseTasks('one');
  const instance = driver.fake.instances.get('one');
  assert.ok(instance);
  assert.equal(driver.fake.observeInstance(instance).healthy.status, 'Unknown');
  await clock.advance(1000);
  const seen = driver.fake.observeInstance(instance);
  assert.equal(seen.healthy.status, 'True');
  assert.deepEqual(
    seen.tasks.map((task) => [task.restarts, task.error]),
    [
      [1, 'task was lost'],
      [1, 'task was lost'],
    ],
  );
});

test('members that share a platform do nothing twice', async () => {
  const clock = new FakeClock();
  const platform = new FakePlatform({ clock });
  const first = createFakeDriver({ platform });
  const second = createFakeDriver({ platform, leads: false });
  await bringUp(clock, () => first.ensure(aPlan(), undefined, never));
  const before = [platform.started, platform.changes];
  await bringUp(clock, () => second.ensure(aPlan(), undefined, never));
  assert.deepEqual([platform.started, platform.changes], before);
});

test('a broken observation throws, the next begins with a snapshot', async () => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const read = async (count: number): Promise<Observation['kind'][]> => {
    const kinds: Observation['kind'][] = [];
    for await (const observation of driver.observe(never)) {
      kinds.push(observation.kind);
      if (kinds.length === 1) driver.setLeads(false);
      if (kinds.length === count) driver.breakObservation();
    }
    return kinds;
  };
  await assert.rejects(read(2), { reason: 'EngineUnreachable' });
  await assert.rejects(read(1), { reason: 'EngineUnreachable' });
});

test('a full snapshot comes each minute', async () => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  const kinds: string[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const observation of driver.observe(stop.signal)) kinds.push(observation.kind);
  })();
  await clock.advance(0);
  assert.deepEqual(kinds, ['Snapshot']);
  await clock.advance(60_000);
  assert.deepEqual(kinds, ['Snapshot', 'Snapshot']);
  stop.abort();
  await reading;
});

test('a platform that is taken over from another process runs on and starts nothing anew', async () => {
  const clock = new FakeClock();
  const driver = createFakeDriver({ clock });
  await bringUp(clock, () => driver.ensure(aPlan({ replicas: 2 }), undefined, never));
  const before = structuredClone(
    [...driver.fake.instances.values()].map(({ tasks, ...instance }) => ({
      ...instance,
      tasks: tasks.map(({ timer: _, ...task }) => task),
    })),
  );
  const next = createFakeDriver({ platform: new FakePlatform({ clock, before }) });
  await bringUp(clock, () => next.ensure(aPlan({ replicas: 2 }), undefined, never));
  await clock.advance(1000);
  assert.deepEqual([next.fake.started, next.fake.changes], [0, 0]);
  const [instance] = next.fake.instances.values();
  assert.ok(instance);
  assert.deepEqual(
    next.fake.observeInstance(instance).tasks.map(({ state }) => state),
    ['running', 'running'],
  );
});
