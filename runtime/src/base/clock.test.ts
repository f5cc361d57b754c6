import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, systemClock } from './clock.ts';

test('a fake clock runs timers in the order of their times, at their times', async () => {
  const clock = new FakeClock(1_000);
  const calls: string[] = [];
  clock.after(20, () => calls.push(`b at ${clock.now()}`));
  clock.after(10, () => calls.push(`a at ${clock.now()}`));
  clock.after(20, () => calls.push(`c at ${clock.now()}`));
  await clock.advance(15);
  assert.deepEqual(calls, ['a at 1010']);
  await clock.advance(5);
  assert.deepEqual(calls, ['a at 1010', 'b at 1020', 'c at 1020']);
  assert.equal(clock.now(), 1_020);
  assert.equal(clock.monotonic(), 20);
});

test('a fake clock runs a chain of sleeps in one call', async () => {
  const clock = new FakeClock();
  let count = 0;
  const chain = (async () => {
    for (; count < 5; count++) await clock.sleep(100);
  })();
  await clock.advance(500);
  await chain;
  assert.equal(count, 5);
});

for (const [name, clock] of [
  ['the system', systemClock],
  ['a fake', new FakeClock()],
] as const) {
  test(`a sleep on ${name} clock ends with the reason of its signal`, async () => {
    const stop = new AbortController();
    const sleeping = clock.sleep(3_600_000, stop.signal);
    stop.abort(new Error('stopped'));
    await assert.rejects(sleeping, /stopped/);
    await assert.rejects(clock.sleep(0, stop.signal), /stopped/);
  });
}

test('a cancelled timer does not fire', async () => {
  const clock = new FakeClock();
  let fired = false;
  clock.after(10, () => (fired = true)).cancel();
  assert.equal(clock.pending, 0);
  await clock.advance(20);
  assert.equal(fired, false);
});

test('the system clock sleeps about as long as it is told', async () => {
  const started = systemClock.monotonic();
  await systemClock.sleep(20);
  assert.ok(systemClock.monotonic() - started >= 19);
});
