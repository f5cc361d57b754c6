import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '@cloudlet/runtime/base';
import { leastPoints, type Point, slopeOf } from './slope.ts';

const minutes = (count: number, valueAt: (minute: number) => number): Point[] =>
  Array.from({ length: count }, (_, minute) => [minute * 60, valueAt(minute)]);

test('a line has its own slope, without doubt', () => {
  const { perHour, low, high, level } = slopeOf(minutes(11, (minute) => 100 + minute * 0.5));
  assert.deepEqual([perHour, low, high, level], [30, 30, 30, 102.5]);
});

test('what only swings does not grow', () => {
  const { perHour, low, high } = slopeOf(minutes(60, (minute) => 50 + (minute % 2)));
  assert.equal(perHour, 0);
  assert.ok(low <= 0 && high >= 0);
});

test('a fifth of the points far off moves it little', () => {
  const bursts = minutes(60, (minute) => minute * 0.1 + (minute % 5 === 0 ? 1_000 : 0));
  const { perHour } = slopeOf(bursts);
  assert.ok(Math.abs(perHour - 6) < 3, `${perHour}`);
});

test('a small leak under much noise is seen, and the interval holds it', () => {
  const random = seededRandom(7);
  const leak = minutes(60, (minute) => 40 + minute * 0.1 + (random() - 0.5) * 4);
  const { perHour, low, high } = slopeOf(leak);
  assert.ok(low > 0, `${low}`);
  assert.ok(low < 6 && 6 < high && low < perHour && perHour < high, `${low} ${perHour} ${high}`);
});

test('noise alone is no growth for sure', () => {
  const random = seededRandom(8);
  const { low, high } = slopeOf(minutes(60, () => 40 + (random() - 0.5) * 4));
  assert.ok(low < 0 && high > 0, `${low} ${high}`);
});

test('too few points give no slope', () => {
  assert.throws(() => slopeOf(minutes(leastPoints - 1, () => 1)), RangeError);
});
