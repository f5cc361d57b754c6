import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger } from '../base/index.ts';
import type { LeaderElection } from './election.ts';
import { type ManagerOptions, runManager } from './manager.ts';
import { things } from './testing/harness.ts';
import type { Controller } from './types.ts';

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

interface Fixture {
  readonly log: string[];
  readonly clock: FakeClock;
  readonly stop: AbortController;
  readonly options: ManagerOptions;
}

/** A process of one part of each sort, which writes down what happens to it. */
function aProcess(parts: Partial<ManagerOptions> = {}): Fixture {
  const log: string[] = [];
  const clock = new FakeClock();
  const note = (line: string) => void log.push(line);
  const controller: Controller = {
    name: 'controller',
    watches: () => undefined,
    enqueue: () => undefined,
    async run(signal) {
      note('controller starts');
      await ended(signal);
      await clock.sleep(1_000);
      note('controller drained');
    },
  };
  const election: Pick<LeaderElection, 'run'> = {
    async run(signal, lead) {
      await lead(signal);
      note('lease released');
    },
  };
  const informer = {
    type: things,
    run: async (signal: AbortSignal) => {
      await ended(signal);
      note('informer stopped');
    },
    synced: async () => note('synced'),
  };
  const options: ManagerOptions = {
    clock,
    logger: silentLogger,
    informers: [informer],
    controllers: [controller],
    election,
    close: [async () => note('closed')],
    ...parts,
  };
  return { log, clock, stop: new AbortController(), options };
}

test('a process starts after its caches are full and ends in order', async () => {
  const { log, clock, stop, options } = aProcess();
  const running = runManager(options, stop.signal);
  await clock.advance(10);
  stop.abort();
  await clock.advance(1_000);
  await running;
  assert.deepEqual(log, [
    'synced',
    'controller starts',
    'controller drained',
    'lease released',
    'informer stopped',
    'closed',
  ]);
});

test('a service runs without leadership', async () => {
  const waiting: Pick<LeaderElection, 'run'> = { run: (signal) => ended(signal) };
  let served = false;
  const services = [
    {
      name: 'service',
      run: async (signal: AbortSignal) => {
        served = true;
        await ended(signal);
      },
    },
  ];
  const { log, clock, stop, options } = aProcess({ election: waiting, services });
  const running = runManager(options, stop.signal);
  await clock.advance(10);
  stop.abort();
  await clock.advance(10);
  await running;
  assert.equal(served, true);
  assert.ok(!log.includes('controller starts'));
});

for (const [name, run] of [
  ['fails', async () => Promise.reject(new Error('it broke'))],
  ['ends by itself', async () => undefined],
] as const) {
  test(`a part that ${name} ends the process in order and with an error`, async () => {
    const { log, clock, stop, options } = aProcess({ services: [{ name: 'service', run }] });
    const rejected = assert.rejects(
      runManager(options, stop.signal),
      /it broke|service ended by itself/,
    );
    await clock.advance(2_000);
    await rejected;
    assert.deepEqual(log.slice(-3), ['lease released', 'informer stopped', 'closed']);
  });
}

test('a lost leadership ends the process without waiting for the controllers', async () => {
  const lost: Pick<LeaderElection, 'run'> = {
    run: async (_, lead) => {
      void lead(new AbortController().signal);
      throw new Error('LeadershipLost');
    },
  };
  const { log, clock, stop, options } = aProcess({ election: lost });
  const rejected = assert.rejects(runManager(options, stop.signal), /LeadershipLost/);
  await clock.advance(10);
  await rejected;
  assert.deepEqual(log.slice(-2), ['informer stopped', 'closed']);
});

test('caches that do not fill in time end the process', async () => {
  const informer = {
    type: things,
    run: ended,
    synced: (signal?: AbortSignal) =>
      new Promise<void>((_, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason as Error)),
      ),
  };
  const { clock, stop, options } = aProcess({ informers: [informer] });
  const rejected = assert.rejects(
    runManager(options, stop.signal),
    /the first lists: no answer within 120000 ms/,
  );
  await clock.advance(120_000);
  await rejected;
});

test('a part that does not end is left behind when the grace is over, and what can be is closed', async () => {
  const services = [{ name: 'stuck', run: () => new Promise<void>(() => undefined) }];
  const { log, clock, stop, options } = aProcess({ services });
  const rejected = assert.rejects(
    runManager(options, stop.signal),
    /shutdown: no answer within 30000 ms/,
  );
  await clock.advance(10);
  stop.abort();
  await clock.advance(30_000);
  await rejected;
  assert.equal(log.at(-1), 'closed');
});
