import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from './clock.ts';
import { DeadlineError, TerminalError, TooManyRequestsError, UnreachableError } from './errors.ts';
import { backoffMs, retry, withDeadline } from './retry.ts';

test('delays double from 5 ms to 1000 s', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((attempt) => backoffMs(attempt)),
    [5, 10, 20, 40],
  );
  assert.equal(backoffMs(100), 1_000_000);
});

test('jitter takes away at most its share', () => {
  const options = { baseMs: 100, maxMs: 1_000, jitter: 0.5 };
  assert.equal(
    backoffMs(0, options, () => 0),
    50,
  );
  assert.ok(backoffMs(0, options, () => 0.999) > 99);
});

test('a retry goes on with growing delays until it succeeds', async () => {
  const clock = new FakeClock(0);
  const times: number[] = [];
  const result = retry(
    async (attempt) => {
      times.push(clock.monotonic());
      if (attempt < 3) throw new UnreachableError('nobody there');
      return 'there';
    },
    { clock, baseMs: 100 },
  );
  await clock.advance(700);
  assert.equal(await result, 'there');
  assert.deepEqual(times, [0, 100, 300, 700]);
});

test('a retry waits as long as the server asks', async () => {
  const clock = new FakeClock();
  const delays: number[] = [];
  const result = retry(
    async (attempt) => {
      if (attempt === 0) throw new TooManyRequestsError('later', 7_000);
    },
    { clock, onRetry: (_, delayMs) => delays.push(delayMs) },
  );
  await clock.advance(7_000);
  await result;
  assert.deepEqual(delays, [7_000]);
});

test('what cannot get better is not tried again', async () => {
  let tries = 0;
  const failing = retry(
    async () => {
      tries++;
      throw new TerminalError('Bad', 'it is bad');
    },
    { clock: new FakeClock() },
  );
  await assert.rejects(failing, /it is bad/);
  assert.equal(tries, 1);
});

test('a retry gives up after its attempts with the last error', async () => {
  const clock = new FakeClock();
  const failing = retry(
    async (attempt) => {
      throw new UnreachableError(`try ${attempt}`);
    },
    { clock, attempts: 3 },
  );
  const rejected = assert.rejects(failing, /try 2/);
  await clock.advance(1_000);
  await rejected;
});

test('a retry that is aborted while it waits ends at once with the reason', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const failing = retry(
    async () => {
      throw new UnreachableError('nobody');
    },
    { clock, signal: stop.signal, baseMs: 60_000 },
  );
  await clock.advance(1);
  stop.abort(new Error('shutting down'));
  await assert.rejects(failing, /shutting down/);
});

test('a call that is late fails with its name, even if it ignores its signal', async () => {
  const clock = new FakeClock();
  let told: AbortSignal | undefined;
  const late = withDeadline('list pods', 1_000, clock, (signal) => {
    told = signal;
    return new Promise(() => undefined);
  });
  const rejected = assert.rejects(late, (error) => {
    assert.ok(error instanceof DeadlineError);
    assert.match(error.message, /list pods: no answer within 1000 ms/);
    return true;
  });
  await clock.advance(1_000);
  await rejected;
  assert.equal(told?.aborted, true);
});

test('a call in time leaves no timer behind', async () => {
  const clock = new FakeClock();
  assert.equal(await withDeadline('get', 1_000, clock, async () => 42), 42);
  assert.equal(clock.pending, 0);
});

test('the outer signal ends a call with its own reason', async () => {
  const stop = new AbortController();
  const call = withDeadline(
    'get',
    1_000,
    new FakeClock(),
    () => new Promise(() => undefined),
    stop.signal,
  );
  stop.abort(new Error('enough'));
  await assert.rejects(call, /enough/);
});
