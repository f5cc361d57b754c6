import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Point } from './slope.ts';
import { judge } from './verdict.ts';

const perMinute = (growth: number, count = 60): Point[] =>
  Array.from({ length: count }, (_, minute) => [minute * 60, 30 + minute * growth]);

test('growth beyond the bound fails, growth within it does not', () => {
  const [leak, well] = judge(
    [
      { of: 'hub-1', figure: 'heap', points: perMinute(0.1) },
      { of: 'hub-2', figure: 'heap', points: perMinute(0.01) },
    ],
    0,
  );
  assert.deepEqual([leak?.isWell, leak?.bound], [false, 2]);
  assert.deepEqual([well?.isWell, well?.bound], [true, 2]);
});

test('the bound of what is large is a share of it', () => {
  const points = perMinute(0, 60).map(([seconds]): Point => [seconds, 200]);
  assert.equal(judge([{ of: 'sites', figure: 'heap', points }], 0)[0]?.bound, 10);
});

test('what happens in the warm-up does not count', () => {
  const settles = perMinute(0, 60).map(([seconds]): Point => [seconds, Math.min(40, seconds / 60)]);
  assert.equal(
    judge([{ of: 'operator', figure: 'heap', points: settles }], 2_400)[0]?.isWell,
    true,
  );
  assert.equal(judge([{ of: 'operator', figure: 'heap', points: settles }], 0)[0]?.isWell, false);
});

test('what was hardly sampled fails', () => {
  const [verdict] = judge([{ of: 'agent', figure: 'heap', points: perMinute(0, 3) }], 0);
  assert.deepEqual([verdict?.isWell, verdict?.slope], [false, undefined]);
});

test('a figure without a bound is drawn and not judged', () => {
  assert.deepEqual(judge([{ of: 'store', figure: 'file', points: perMinute(9) }], 0), []);
});
