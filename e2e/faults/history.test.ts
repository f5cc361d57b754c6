/** The judge of the fault bed judges: what is wrong is found, and what is right is not. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FakeClock, seededRandom } from '@cloudlet/runtime/base';
import { createFakeDriver, type FakeInstance, FakePlatform } from '@cloudlet/drivers/fake';
import { openPlatformJournal } from '../scale/platform-journal.ts';
import { orphanKey, problemsOf } from './agreement.ts';
import { collideIn } from './fault.ts';
import { History } from './history.ts';
import { scheduleOf } from './schedule.ts';
import { Wishes } from './wishes.ts';

interface Shape {
  readonly sequence: number;
  readonly wish?: number;
  readonly extra?: string;
  readonly tasks?: readonly ('running' | 'starting')[];
}

function anInstance({ sequence, wish = 1, extra = '', tasks = ['running'] }: Shape): FakeInstance {
  return {
    ...{ id: 'a', name: 'web-a', sequence, image: 'web:1', poweredOff: false, steps: 2 },
    content: JSON.stringify([{ extra }, { WISH: String(wish), ROUND: '1' }, null, null]),
    replicas: tasks.length,
    tasks: tasks.map((state, index) => ({
      ...{ name: `web_app.${index + 1}`, node: 'node-1', slot: index + 1, state },
      ...{ since: 0, restarts: 0 },
    })),
  };
}

function judged(...shapes: readonly (readonly [site: string, shape: Shape | undefined])[]) {
  const history = new History('/nowhere', ['s-1', 's-2']);
  history.ask('a', 'web', { site: 's-1' });
  history.ask('a', 'web', { site: 's-2' });
  for (const [at, [site, shape]] of shapes.entries())
    history.take(site, { at, id: 'a', ...(shape && { instance: anInstance(shape) }) });
  return history.judge().map((text) => text.slice(text.indexOf(': ') + 2));
}

test('changes, a scale and a move that were asked for are right', () => {
  assert.deepEqual(
    judged(
      ['s-1', { sequence: 1 }],
      ['s-1', { sequence: 2, wish: 2, tasks: ['starting'] }],
      ['s-1', { sequence: 2, wish: 2 }],
      ['s-1', { sequence: 3, wish: 2, tasks: ['running', 'starting'] }],
      ['s-2', { sequence: 4, wish: 2 }],
      ['s-1', undefined],
    ),
    [],
  );
});

test('a plan that is carried out twice is found', () => {
  const again = judged(['s-1', { sequence: 2 }], ['s-1', undefined], ['s-1', { sequence: 2 }]);
  assert.deepEqual(again, [
    'plan 2 was carried out after 2',
    'came to the site 2 times, asked for at most 1 times',
  ]);
});

test('a plan that is carried out after a newer one is found', () => {
  assert.deepEqual(judged(['s-1', { sequence: 3, wish: 2 }], ['s-1', { sequence: 2, wish: 1 }]), [
    'plan 2 was carried out after 3',
    'went back from {"wish":2,"round":1} to {"wish":1,"round":1}',
  ]);
});

test('a plan that is carried out at two sites is found', () => {
  assert.deepEqual(judged(['s-1', { sequence: 2 }], ['s-2', { sequence: 2 }]), [
    'plan 2 was carried out at s-1 too',
  ]);
});

test('a task that is started again without a cause is found', () => {
  assert.deepEqual(
    judged(['s-1', { sequence: 2 }], ['s-1', { sequence: 3, tasks: ['starting'] }]),
    ['web_app.1 was started again and no fault had lost it'],
  );
  const anew = judged(['s-1', { sequence: 2 }], ['s-1', { sequence: 3, extra: 'x' }]);
  assert.equal(anew.length, 1);
  assert.match(anew[0] ?? '', /^was made anew although nobody changed it/);
});

test('after a restore an earlier wish may come back, and an older plan may not', () => {
  const history = new History('/nowhere', ['s-1']);
  history.ask('a', 'web', { site: 's-1' });
  const take = (at: number, shape: Shape): void =>
    history.take('s-1', { at, id: 'a', instance: anInstance(shape) });
  take(1, { sequence: 5, wish: 2 });
  history.restored();
  take(2, { sequence: 6, wish: 1 });
  assert.deepEqual(history.judge(), []);
  take(3, { sequence: 4, wish: 1 });
  assert.match(history.judge().join(), /plan 4 was carried out after 6/);
});

test('an orphan of a restored region has to stay, and what was deleted has not', () => {
  const settled = {
    ...{ wanted: new Map(), rounds: new Map(), appInsts: [], ledgers: [], cloudlets: [] },
    platforms: new Map([['s-1', new Map([['a', anInstance({ sequence: 1 })]])]]),
  };
  const told = (orphans: readonly string[]): readonly string[] =>
    problemsOf({ ...settled, orphans: new Set(orphans) }).map(({ text }) => text);
  assert.deepEqual(told([orphanKey('s-1', 'a')]), []);
  assert.deepEqual(told([]), ['s-1 runs what was deleted: web-a (a)']);
  assert.match(told([orphanKey('s-1', 'a'), orphanKey('s-1', 'b')]).join(), /s-1 lost an orphan/);
});

test('the same seed gives the same faults and the same wishes', () => {
  const drawn = (seed: number) => {
    const wishes = new Wishes({
      ...{ random: seededRandom(seed), sites: ['s-1', 's-2'], instances: 5, apps: 2 },
    });
    return {
      schedule: scheduleOf({
        ...{ random: seededRandom(seed), count: 50, perRound: 20, gapMs: [0, 500] },
        kinds: [
          { name: 'cut', weight: 2, holdMs: [100, 9_000], targets: ['site:s-1', 'site:s-2'] },
          { name: 'kill', weight: 1, holdMs: [100, 9_000], targets: ['agents:s-1'] },
        ],
        collide: collideIn(() => ['s-1', 's-2']),
      }),
      wishes: Array.from({ length: 50 }, () => wishes.next()),
    };
  };
  assert.deepEqual(drawn(7), drawn(7));
  assert.notDeepEqual(drawn(7), drawn(8));
  const { schedule } = drawn(7);
  assert.deepEqual([...new Set(schedule.map(({ round }) => round))], [0, 1, 2]);
  for (const one of schedule)
    for (const other of schedule) {
      if (one.round !== other.round || one.number >= other.number) continue;
      const isProcess = [one, other].some(({ target }) => target.startsWith('agents:'));
      if (one.target !== other.target && !isProcess) continue;
      const isApart = one.atMs + one.holdMs < other.atMs || other.atMs + other.holdMs < one.atMs;
      assert.ok(isApart, `faults ${one.number} and ${other.number} overlap`);
    }
});

test('a platform is taken over from its journal, and its history goes on', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'journal-'));
  t.after(() => rm(folder, { recursive: true }));
  const clock = new FakeClock();
  const plan = {
    ...{ id: 'a', sequence: 4, cloudlet: 's-1', env: { WISH: '3', ROUND: '2' }, replicas: 2 },
    object: { namespace: 'default', name: 'web', uid: 'a', generation: 1 },
    app: { name: 'web', version: '1', revision: 'web-1' },
    workload: { kind: 'Image' as const, image: 'web:1' },
  };
  const live = async (): Promise<FakePlatform> => {
    const journal = openPlatformJournal(join(folder, 's-1.jsonl'));
    const platform = new FakePlatform({ clock, before: journal.before });
    journal.follow(platform);
    const driver = createFakeDriver({ platform });
    for (let tries = 0; tries < 5; tries++) {
      const call = driver.ensure(plan, undefined, t.signal);
      await clock.advance(1_000);
      await call;
    }
    return platform;
  };
  assert.equal((await live()).started, 2);
  assert.equal((await live()).started, 0, 'the next life finds its tasks');
  const history = new History(folder, ['s-1']);
  history.ask('a', 'web', { site: 's-1' });
  history.read();
  assert.deepEqual(history.judge(), []);
  assert.equal(history.carriedOut, 1);
  assert.match(history.lines(['a']).at(-1) ?? '', /plan 4, wish 3, round 2, 2 replicas/);
});
