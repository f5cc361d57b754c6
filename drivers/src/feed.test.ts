import assert from 'node:assert/strict';
import test from 'node:test';
import type { Observation } from './driver.ts';
import { ObservationFeed } from './feed.ts';

const gone = (id: string): Observation => ({ kind: 'Gone', id });

test('a slow reader sees the latest of each instance, once', async () => {
  const feed = new ObservationFeed();
  for (let round = 0; round < 100; round++) for (const id of ['a', 'b']) feed.offer(gone(id));
  assert.equal(feed.size, 2);
  feed.end();
  const seen: Observation[] = [];
  for await (const observation of feed.read(new AbortController().signal)) seen.push(observation);
  assert.deepEqual(seen, [gone('a'), gone('b')]);
});

test('what was offered before a failure is delivered before it', async () => {
  const feed = new ObservationFeed();
  feed.offer(gone('a'));
  feed.fail(new Error('broken'));
  const reader = feed.read(new AbortController().signal);
  assert.deepEqual((await reader.next()).value, gone('a'));
  await assert.rejects(async () => reader.next(), /broken/);
});

test('an abort ends a reader that waits', async () => {
  const stop = new AbortController();
  const next = new ObservationFeed().read(stop.signal).next();
  stop.abort();
  assert.equal((await next).done, true);
});
