import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@cloudlet/runtime/base';
import { SiteClock } from './site-clock.ts';

const hourMs = 3_600_000;

test('a clock that wakes up in the past starts at the last time that was right', () => {
  const clock = new SiteClock(new FakeClock(0), 5 * hourMs);
  assert.equal(clock.now(), 5 * hourMs);
  assert.deepEqual(clock.times(), [5 * hourMs, 0]);
});

test("the region's time counts where it is another, and the machine's is not forgotten", () => {
  const clock = new SiteClock(new FakeClock(10 * hourMs), 0);
  assert.equal(clock.correct(-2 * hourMs), -2 * hourMs);
  assert.deepEqual(clock.times(), [8 * hourMs, 10 * hourMs]);
  assert.equal(clock.correct(2 * hourMs), 0);
  assert.deepEqual(clock.times(), [10 * hourMs]);
});

test('a few seconds are no mistake of anybody', () => {
  const clock = new SiteClock(new FakeClock(10 * hourMs), 0);
  clock.correct(900);
  assert.equal(clock.now(), 10 * hourMs);
  assert.equal(clock.isCorrected, false);
});
