import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from './clock.ts';
import { WorkQueue } from './queue.ts';
import { seededRandom } from './random.ts';

/** Takes without waiting; undefined when nothing is ready. */
async function takeNow(queue: WorkQueue): Promise<string | undefined> {
  if (queue.ready === 0) return undefined;
  return (await queue.take())?.key;
}

async function takeAll(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  for (let key = await takeNow(queue); key !== undefined; key = await takeNow(queue)) {
    keys.push(key);
    queue.done(key);
  }
  return keys;
}

test('a key that is added often is taken once', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  for (let i = 0; i < 5; i++) queue.add('a');
  assert.deepEqual(await takeAll(queue), ['a']);
});

test('keys leave by priority, and by age within one', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  queue.add('old', { priority: -100 });
  queue.add('older', { priority: -100 });
  queue.add('fresh');
  queue.add('urgent', { priority: 1 });
  assert.deepEqual(await takeAll(queue), ['urgent', 'fresh', 'old', 'older']);
});

test('adding again raises the priority and never lowers it', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  queue.add('a', { priority: -100 });
  queue.add('b', { priority: -100 });
  queue.add('b', { priority: 0 });
  queue.add('b', { priority: -100 });
  assert.deepEqual(await takeAll(queue), ['b', 'a']);
});

test('a ready key keeps its place among equals when it is added again', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  queue.add('a');
  queue.add('b');
  queue.add('a');
  assert.deepEqual(await takeAll(queue), ['a', 'b']);
});

test('a delayed key comes when its time has come, not before', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.add('a', { afterMs: 1_000 });
  await clock.advance(999);
  assert.equal(await takeNow(queue), undefined);
  await clock.advance(1);
  assert.equal(await takeNow(queue), 'a');
});

test('of two delays the shorter one holds, in either order', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.add('a', { afterMs: 5_000 });
  queue.add('a', { afterMs: 1_000 });
  queue.add('b', { afterMs: 1_000 });
  queue.add('b', { afterMs: 5_000 });
  await clock.advance(1_000);
  assert.deepEqual(await takeAll(queue), ['a', 'b']);
  await clock.advance(10_000);
  assert.deepEqual(await takeAll(queue), []);
});

test('a delayed key that is added without delay is ready at once', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.add('a', { afterMs: 60_000 });
  queue.add('a');
  assert.deepEqual(await takeAll(queue), ['a']);
  await clock.advance(60_000);
  assert.deepEqual(await takeAll(queue), []);
});

test('a key added while it is out comes back after it is done, and not before', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  queue.add('a');
  assert.equal(await takeNow(queue), 'a');
  queue.add('a');
  assert.equal(await takeNow(queue), undefined);
  queue.done('a');
  assert.equal(await takeNow(queue), 'a');
});

test('a key that fails waits 5 ms, then twice as long each time, and 1000 s at most', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.add('a');
  for (let failures = 0; failures < 20; failures++) {
    assert.equal((await queue.take())?.failures, failures);
    queue.retry('a');
    queue.done('a');
    await clock.advance(Math.min(1_000_000, 5 * 2 ** failures) - 1);
    assert.equal(queue.ready, 0, `too early after failure ${failures + 1}`);
    await clock.advance(1);
    assert.equal(queue.ready, 1, `too late after failure ${failures + 1}`);
  }
});

test('a key that is well again starts over with its delays', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  for (let i = 0; i < 3; i++) queue.retry('a');
  queue.forget('a');
  await clock.advance(100);
  await takeAll(queue);
  queue.retry('a');
  await clock.advance(5);
  assert.deepEqual(await takeAll(queue), ['a']);
});

test('who waits for a key gets it as soon as it is added', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  const [first, second] = [queue.take(), queue.take()];
  queue.add('a');
  queue.add('b');
  assert.equal((await first)?.key, 'a');
  assert.equal((await second)?.key, 'b');
});

test('a taker that gives up takes no key with it', async () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  const giveUp = new AbortController();
  const waiting = queue.take(giveUp.signal);
  giveUp.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  queue.add('a');
  assert.equal(await takeNow(queue), 'a');
  await assert.rejects(queue.take(giveUp.signal), /enough/);
});

test('a shutdown lets takers go, forgets what waits and is drained when the last key is done', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  queue.add('out');
  assert.equal(await takeNow(queue), 'out');
  const waiting = queue.take();
  queue.add('later', { afterMs: 10 });
  queue.shutDown();
  assert.equal(await waiting, undefined);
  queue.add('too late');
  assert.equal(await queue.take(), undefined);
  assert.equal(queue.size, 0);
  let isDrained = false;
  void queue.drained.then(() => (isDrained = true));
  await clock.advance(0);
  assert.equal(isDrained, false);
  queue.done('out');
  await clock.advance(0);
  assert.equal(isDrained, true);
});

test('a key that was not taken cannot be done', () => {
  const queue = new WorkQueue({ clock: new FakeClock() });
  assert.throws(() => queue.done('a'), /'a' was not taken/);
});

test('one timer serves all delays, and none is left when nothing waits', async () => {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  for (let i = 0; i < 100; i++) queue.add(`k${i}`, { afterMs: 1_000 - i });
  assert.equal(clock.pending, 1);
  await clock.advance(1_000);
  assert.equal((await takeAll(queue)).length, 100);
  assert.equal(clock.pending, 0);
});

test('it tells who counts how deep it is and how long keys waited and were out', async () => {
  const clock = new FakeClock();
  const told: string[] = [];
  const queue = new WorkQueue({
    clock,
    metrics: {
      depth: (ready) => told.push(`depth ${ready}`),
      added: () => told.push('added'),
      retried: () => told.push('retried'),
      taken: (seconds) => told.push(`taken ${seconds}`),
      done: (seconds) => told.push(`done ${seconds}`),
    },
  });
  queue.add('a');
  await clock.advance(2_000);
  await queue.take();
  await clock.advance(3_000);
  assert.deepEqual(queue.ages(), [3]);
  queue.retry('a');
  queue.done('a');
  const expected = ['added', 'depth 1', 'taken 2', 'depth 0', 'retried', 'added', 'done 3'];
  assert.deepEqual(told, expected);
});

/**
 * Workers and adders at random, by a clock that jumps. Each add is a change of the world; each take sees the world as
 * it is then. In the end every key must have been seen after its last change.
 */
async function runSchedule(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock });
  const keys = ['a', 'b', 'c', 'd', 'e'];
  const changed = new Map<string, number>();
  const seen = new Map<string, number>();
  const active = new Set<string>();
  const worker = async (): Promise<void> => {
    for (let taken = await queue.take(); taken; taken = await queue.take()) {
      const { key } = taken;
      assert.ok(!active.has(key), `seed ${seed}: ${key} is with two workers`);
      active.add(key);
      seen.set(key, changed.get(key) ?? 0);
      await clock.sleep(random() * 40);
      active.delete(key);
      if (random() < 0.2) queue.retry(key, random() < 0.5 ? 0 : -100);
      else queue.forget(key);
      queue.done(key);
    }
  };
  const workers = [worker(), worker(), worker()];
  for (let step = 0; step < 80; step++) {
    const key = keys[Math.floor(random() * keys.length)] as string;
    const immediately = random() < 0.5;
    changed.set(key, (changed.get(key) ?? 0) + 1);
    queue.add(key, {
      afterMs: immediately ? 0 : random() * 200,
      priority: random() < 0.5 ? 0 : -100,
    });
    if (random() < 0.5) await clock.advance(random() * 30);
    assert.ok(queue.size <= keys.length, 'a key waits at most once');
  }
  await clock.advance(120_000);
  assert.deepEqual(seen, changed, `seed ${seed}: every key was seen after its last change`);
  queue.shutDown();
  await Promise.all(workers);
}

test('no schedule gives a key to two workers or loses one', async () => {
  for (let seed = 1; seed <= 150; seed++) await runSchedule(seed);
});
