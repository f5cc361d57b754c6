import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import type { Plan, Removal } from '@cloudlet/crds';
import type { Checkpoint, Driver, StepResult } from '@cloudlet/drivers';
import { DriverError, FakeClock, silentLogger } from '@cloudlet/runtime/base';
import { aFolder, aPlan, aRemoval } from '../testing/builders.ts';
import { Notes } from '../store/index.ts';
import { Lanes } from './lanes.ts';

interface Call {
  readonly id: string;
  readonly verb: 'ensure' | 'remove';
  readonly checkpoint: Checkpoint | undefined;
  readonly signal: AbortSignal;
  end(result: StepResult | Error): Promise<void>;
}

/** A driver whose calls end when the test says so, whatever their signal does. */
class StubbornDriver implements Pick<Driver, 'ensure' | 'remove' | 'parallelism'> {
  parallelism = 2;
  readonly open: Call[] = [];
  /** Settles when the lanes are through with every call that ended. */
  settled: () => Promise<void> = () => Promise.resolve();
  most = 0;

  ensure(plan: Plan, checkpoint: Checkpoint | undefined, signal: AbortSignal): Promise<StepResult> {
    return this.#call('ensure', plan.id, checkpoint, signal);
  }
  remove(
    removal: Removal,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult> {
    return this.#call('remove', removal.id, checkpoint, signal);
  }

  #call(
    verb: Call['verb'],
    id: string,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult> {
    return new Promise((resolve, reject) => {
      assert.ok(!this.open.some((other) => other.id === id), `two calls of ${id} at once`);
      const call: Call = {
        ...{ id, verb, checkpoint, signal },
        end: async (result) => {
          this.open.splice(this.open.indexOf(call), 1);
          if (result instanceof Error) reject(result);
          else resolve(result);
          await this.settled();
        },
      };
      this.open.push(call);
      this.most = Math.max(this.most, this.open.length);
    });
  }

  the(id: string): Call {
    const call = this.open.find((candidate) => candidate.id === id);
    assert.ok(call, `no call of ${id} is open`);
    return call;
  }
}

const done: StepResult = { kind: 'Done' };
const working = (data: unknown, againMs = 1000): StepResult => ({
  kind: 'Working',
  progress: { task: 'pull', step: 1, of: 2 },
  againMs,
  checkpoint: { version: '1', data },
});

async function aBench(t: Parameters<typeof aFolder>[0]) {
  const clock = new FakeClock();
  const driver = new StubbornDriver();
  const folder = await aFolder(t);
  const schema: z.ZodType<Checkpoint> = z.object({ version: z.string(), data: z.unknown() });
  const open = () => Notes.open(folder, 'checkpoints', schema, silentLogger);
  const checkpoints = await open();
  const lanes = new Lanes({
    driver: driver as unknown as Driver,
    checkpoints,
    clock,
    logger: silentLogger,
    random: () => 0,
    onChange: () => undefined,
  });
  lanes.resume();
  driver.settled = async () => {
    do await new Promise((resolve) => setImmediate(resolve));
    while (lanes.running !== driver.open.length);
  };
  const ensure = (id: string, sequence = 1): void =>
    lanes.submit(id, { kind: 'Ensure', plan: aPlan({ id, sequence }) });
  const remove = (id: string): void =>
    lanes.submit(id, { kind: 'Remove', removal: aRemoval({ id }) });
  return { clock, driver, lanes, checkpoints, open, ensure, remove };
}

test('as many calls as the driver allows run at once, and removals go first', async (t) => {
  const { driver, lanes, ensure, remove } = await aBench(t);
  for (const id of ['a', 'b', 'c', 'd']) ensure(id);
  remove('e');
  assert.deepEqual(
    driver.open.map(({ id }) => id),
    ['a', 'b'],
  );
  await driver.the('a').end(done);
  assert.deepEqual(
    driver.open.map(({ id, verb }) => `${verb} ${id}`),
    ['ensure b', 'remove e'],
  );
  for (const id of ['b', 'e', 'c', 'd']) await driver.the(id).end(done);
  assert.equal(driver.most, 2);
  assert.equal(lanes.running, 0);
});

test('what stopped stays so, whatever arrives while the process ends', async (t) => {
  const { driver, lanes, ensure } = await aBench(t);
  ensure('a');
  const stopped = lanes.stop();
  assert.equal(driver.the('a').signal.aborted, true);
  await driver.the('a').end(new Error('aborted'));
  await stopped;
  ensure('b'); // of the connection that is being closed
  lanes.resume();
  assert.equal(driver.open.length, 0);
});

test('a removal aborts the ensure under way and waits for its end', async (t) => {
  const { driver, lanes, ensure, remove } = await aBench(t);
  ensure('a');
  const first = driver.the('a');
  remove('a');
  assert.equal(first.signal.aborted, true);
  assert.deepEqual(
    driver.open.map(({ verb }) => verb),
    ['ensure'],
    'never two at once',
  );
  await first.end(new Error('aborted'));
  assert.deepEqual(
    driver.open.map(({ verb }) => verb),
    ['remove'],
  );
  assert.equal(lanes.stateOf('a').kind, 'Working', 'an overtaken call is no failure');
  await driver.the('a').end(done);
  assert.equal(lanes.stateOf('a').kind, 'Done');
});

test('a newer plan lets the step under way end and then takes its place', async (t) => {
  const { driver, ensure } = await aBench(t);
  ensure('a', 1);
  const first = driver.the('a');
  ensure('a', 2);
  assert.equal(first.signal.aborted, false);
  await first.end(done);
  assert.notEqual(driver.the('a'), first);
});

test('a checkpoint is on disk before the call that builds on it', async (t) => {
  const { clock, driver, ensure, open } = await aBench(t);
  ensure('a');
  await driver.the('a').end(working({ volume: 7 }));
  assert.deepEqual((await open()).get('a'), { version: '1', data: { volume: 7 } });
  await clock.advance(1000);
  assert.deepEqual(driver.the('a').checkpoint, { version: '1', data: { volume: 7 } });
  await driver.the('a').end(done);
  assert.equal((await open()).get('a'), undefined, 'a job that is done leaves no checkpoint');
});

test('a checkpoint that is too large fails the step and is not kept', async (t) => {
  const { driver, lanes, ensure, open } = await aBench(t);
  ensure('a');
  await driver.the('a').end(working('x'.repeat(70_000)));
  const state = lanes.stateOf('a');
  assert.equal(state.kind === 'Failed' && state.reason, 'CheckpointTooLarge');
  assert.equal((await open()).get('a'), undefined);
});

test('failures back off by doubling up to five minutes and start over with other work', async (t) => {
  const { clock, driver, ensure } = await aBench(t);
  ensure('a');
  const waits: number[] = [];
  for (let failure = 0; failure < 12; failure++) {
    await driver.the('a').end(new DriverError('DeployFailed', 'no'));
    const from = clock.now();
    while (driver.open.length === 0) {
      await clock.advance(800);
    }
    waits.push(clock.now() - from);
  }
  // A fifth is random, and the test's dice always show 0.
  assert.deepEqual(waits.slice(0, 4), [800, 1600, 3200, 6400]);
  assert.equal(waits.at(-1), 240_000);
  ensure('a', 2);
  await driver.the('a').end(done);
  await driver.the('a').end(new DriverError('DeployFailed', 'no'));
  await clock.advance(800);
  assert.equal(driver.open.length, 1);
});

test('a permanent failure is not tried again until there is other work', async (t) => {
  const { clock, driver, ensure } = await aBench(t);
  ensure('a');
  await driver.the('a').end(new DriverError('InvalidCompose', 'no', { permanent: true }));
  await clock.advance(3_600_000);
  assert.equal(driver.open.length, 0);
  ensure('a', 2);
  assert.equal(driver.open.length, 1);
});

test('a call that takes too long is aborted and counts as a failure when it ends', async (t) => {
  const { clock, driver, lanes, ensure } = await aBench(t);
  ensure('a');
  const call = driver.the('a');
  await clock.advance(60_000);
  assert.equal(call.signal.aborted, true);
  await clock.advance(60_000);
  assert.equal(driver.open.length, 1, 'no second call while the first has not ended');
  await call.end(new Error('at last'));
  const state = lanes.stateOf('a');
  assert.equal(state.kind === 'Failed' && state.reason, 'Unreachable');
});

test('paused lanes begin nothing and take their work up again where it was', async (t) => {
  const { clock, driver, lanes, ensure } = await aBench(t);
  ensure('a');
  ensure('b');
  const call = driver.the('a');
  lanes.pause();
  assert.equal(call.signal.aborted, true);
  await call.end(new Error('aborted'));
  await driver.the('b').end(done);
  ensure('c');
  await clock.advance(600_000);
  assert.equal(driver.open.length, 0);
  lanes.resume();
  assert.deepEqual(driver.open.map(({ id }) => id).sort(), ['a', 'c']);
});

test('cancelled work ends and leaves no lane behind', async (t) => {
  const { clock, driver, lanes, ensure } = await aBench(t);
  ensure('a');
  lanes.cancel('a');
  await driver.the('a').end(new Error('aborted'));
  await clock.advance(600_000);
  assert.equal(driver.open.length, 0);
  assert.deepEqual([lanes.stateOf('a').kind, lanes.workOf('a')], ['Idle', undefined]);
});
