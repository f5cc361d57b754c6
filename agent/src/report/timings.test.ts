import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@cloudlet/runtime/base';
import { maxSiteSpans } from '@cloudlet/tunnel/agent';
import { Timings } from './timings.ts';

test('what a plan takes is told once, from its arrival to what runs', async () => {
  const clock = new FakeClock();
  const timings = new Timings(clock);
  const at = clock.now();
  timings.applied('web', 'done', 5); // of a plan that nobody asks about
  await clock.advance(10);
  timings.stored('web', 3, at);
  await clock.advance(50);
  timings.applied('web', 'working', 20);
  timings.running('web', 2); // what runs is of the plan before
  await clock.advance(100);
  timings.applied('web', 'done', 30);
  await clock.advance(40);
  timings.running('web', 3);
  timings.running('web', 3);
  timings.applied('web', 'done', 10); // a repair of what runs
  const sequence = 3;
  assert.deepEqual(timings.take('web'), [
    { name: 'store', start: at, end: at + 10, sequence },
    { name: 'queue', start: at + 10, end: at + 40, sequence },
    { name: 'apply', start: at + 40, end: at + 60, sequence, outcome: 'working' },
    { name: 'apply', start: at + 130, end: at + 160, sequence, outcome: 'done' },
    { name: 'start', start: at + 160, end: at + 200, sequence },
  ]);
  assert.equal(timings.take('web'), undefined);
});

test('an instance that fails for ever holds no more spans than a report takes', () => {
  const timings = new Timings(new FakeClock());
  timings.stored('web', 1, 0);
  for (let index = 0; index < 100; index++) timings.applied('web', 'failed', 1);
  assert.equal(timings.take('web')?.length, maxSiteSpans);
  timings.drop('web');
  timings.applied('web', 'failed', 1);
  assert.equal(timings.take('web'), undefined);
});
