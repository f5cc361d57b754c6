import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@cloudlet/runtime/base';
import { createPostponement } from './postponement.ts';

test('a count waits two seconds from its first change, however often it changes meanwhile', async () => {
  const clock = new FakeClock(0);
  const postpone = createPostponement(clock);
  assert.equal(postpone('site-1', true), 2_000);
  await clock.advance(1_500);
  assert.equal(postpone('site-1', true), 500);
  await clock.advance(500);
  assert.equal(postpone('site-1', true), undefined);
  assert.equal(postpone('site-1', true), 2_000, 'the next change is another one');
});

test('another change of the object is written at once, and the count with it', async () => {
  const clock = new FakeClock(0);
  const postpone = createPostponement(clock);
  postpone('site-1', true);
  await clock.advance(100);
  assert.equal(postpone('site-1', false), undefined);
  assert.equal(postpone('site-1', true), 2_000);
});

test('of a thousand objects ten a second have their turn, in the order in which they changed', async () => {
  const clock = new FakeClock(0);
  const postpone = createPostponement(clock);
  const keys = Array.from({ length: 1_000 }, (_, i) => `site-${i}`);
  const waits = keys.map((key) => postpone(key, true));
  assert.deepEqual(
    waits,
    keys.map((_, i) => 2_000 + i * 100),
  );
  await clock.advance(2_000 + 499 * 100);
  const written = keys.filter((key) => postpone(key, true) === undefined);
  assert.deepEqual(written, keys.slice(0, 500));
});

test('what never comes for its turn does not hold up others for ever', async () => {
  const clock = new FakeClock(0);
  const postpone = createPostponement(clock);
  for (let i = 0; i < 100; i++) postpone(`gone-${i}`, true);
  await clock.advance(3_600_000);
  assert.equal(postpone('site-1', true), 2_000);
});
