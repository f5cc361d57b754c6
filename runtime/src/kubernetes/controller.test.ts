import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { Registry } from 'prom-client';
import { FakeClock, TerminalError, WaitingError, silentLogger } from '../base/index.ts';
import { createController } from './controller.ts';
import { itself } from './mapping.ts';
import { Store } from './store.ts';
import { things } from './testing/harness.ts';
import type {
  CacheEvent,
  Controller,
  ControllerOptions,
  Informer,
  KubernetesObject,
  Outcome,
} from './types.ts';

const done: Outcome = { kind: 'done' };

interface Fixture extends AsyncDisposable {
  readonly clock: FakeClock;
  readonly controller: Controller;
  readonly metrics: Registry;
  readonly stop: AbortController;
  readonly running: Promise<void>;
}

function start(options: Omit<ControllerOptions, 'name' | 'logger'>): Fixture {
  const clock = new FakeClock();
  const metrics = new Registry();
  const controller = createController(
    { name: 'test', logger: silentLogger, ...options },
    { clock, metrics },
  );
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  return {
    clock,
    controller,
    metrics,
    stop,
    running,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

async function sample(metrics: Registry, line: string): Promise<number> {
  const text = await metrics.metrics();
  const found = text.split('\n').find((each) => each.startsWith(`${line} `));
  assert.ok(found, `no series ${line} in\n${text}`);
  return Number(found.slice(line.length + 1));
}

/** An informer without a server: events by hand. */
function aSource() {
  const store = new Store<KubernetesObject>();
  const handlers = new Set<(event: CacheEvent<KubernetesObject>) => void>();
  const informer: Informer<KubernetesObject> = {
    type: things,
    cache: store,
    subscribe(handler) {
      handlers.add(handler);
      return { unsubscribe: () => void handlers.delete(handler) };
    },
    run: async () => undefined,
    synced: async () => undefined,
    hasSynced: true,
    isCurrent: true,
    lastProgress: 0,
  };
  const put = (name: string, initial = false, labels: Record<string, string> = {}): void => {
    const metadata = { name, uid: name, resourceVersion: `${Math.random()}`, labels };
    for (const event of store.put({ metadata }, initial))
      for (const handler of handlers) handler(event);
  };
  return { informer, put };
}

test('calls that come while a key is out are one more reconcile, however many', async () => {
  const seen: string[] = [];
  await using fixture = start({
    reconcile: async ({ key }) => {
      seen.push(key);
      return done;
    },
  });
  for (let i = 0; i < 3; i++) fixture.controller.enqueue('a');
  await fixture.clock.advance(60_000);
  // The idle worker took it at the first call; the other two came while it was out.
  assert.deepEqual(seen, ['a', 'a']);
});

test('workers take different keys at a time, never the same', async () => {
  const active = new Set<string>();
  let most = 0;
  await using fixture = start({
    workers: 3,
    reconcile: async ({ key }) => {
      assert.ok(!active.has(key));
      active.add(key);
      most = Math.max(most, active.size);
      await fixture.clock.sleep(10);
      active.delete(key);
      return done;
    },
  });
  for (let i = 0; i < 20; i++) fixture.controller.enqueue(`key-${i % 5}`);
  await fixture.clock.advance(1_000);
  assert.equal(most, 3);
});

test('a failing key comes back with growing delays and knows its attempt', async () => {
  const attempts: [number, number][] = [];
  await using fixture = start({
    reconcile: async ({ attempt }) => {
      attempts.push([attempt, fixture.clock.monotonic()]);
      if (attempt < 3) throw new Error('not yet');
      return done;
    },
  });
  fixture.controller.enqueue('a');
  await fixture.clock.advance(60_000);
  assert.deepEqual(attempts, [
    [0, 0],
    [1, 5],
    [2, 15],
    [3, 35],
  ]);
  assert.equal(
    await sample(fixture.metrics, 'controller_runtime_reconcile_errors_total{controller="test"}'),
    3,
  );
  assert.equal(
    await sample(
      fixture.metrics,
      'controller_runtime_reconcile_total{controller="test",result="success"}',
    ),
    1,
  );
});

test('what cannot get better waits for a change', async () => {
  let runs = 0;
  await using fixture = start({
    reconcile: async () => {
      runs++;
      throw new TerminalError('InvalidSpec', 'bad');
    },
  });
  fixture.controller.enqueue('a');
  await fixture.clock.advance(3_600_000);
  assert.equal(runs, 1);
  fixture.controller.enqueue('a');
  await fixture.clock.advance(1);
  assert.equal(runs, 2);
  assert.equal(
    await sample(
      fixture.metrics,
      'controller_runtime_terminal_reconcile_errors_total{controller="test"}',
    ),
    2,
  );
});

for (const [name, reconcile] of [
  [
    'asks for it',
    async (): Promise<Outcome> => ({ kind: 'requeue', afterMs: 30_000, reason: 'Look' }),
  ],
  [
    'waits for something',
    async (): Promise<Outcome> => {
      throw new WaitingError('NoSite', 'no site yet', 30_000);
    },
  ],
] as const) {
  test(`a reconcile that ${name} comes back when it said`, async () => {
    const times: number[] = [];
    await using fixture = start({
      reconcile: () => {
        times.push(fixture.clock.monotonic());
        return reconcile();
      },
    });
    fixture.controller.enqueue('a');
    await fixture.clock.advance(60_000);
    assert.deepEqual(times, [0, 30_000, 60_000]);
    assert.equal(
      await sample(
        fixture.metrics,
        'controller_runtime_reconcile_total{controller="test",result="requeue_after"}',
      ),
      3,
    );
  });
}

test('a bug in a reconcile is counted, retried and stops nobody', async () => {
  const seen: string[] = [];
  await using fixture = start({
    reconcile: ({ key, attempt }) => {
      seen.push(key);
      if (key === 'bug' && attempt === 0) throw new TypeError('undefined is not a function');
      return Promise.resolve(done);
    },
  });
  fixture.controller.enqueue('bug');
  fixture.controller.enqueue('fine');
  await fixture.clock.advance(10);
  assert.deepEqual(seen, ['bug', 'fine', 'bug']);
  assert.equal(
    await sample(fixture.metrics, 'controller_runtime_reconcile_panics_total{controller="test"}'),
    1,
  );
});

test('a reconcile that is late is told so, and its key stays with it until it ends', async () => {
  let runs = 0;
  const reasons: unknown[] = [];
  await using fixture = start({
    workers: 2,
    timeoutMs: 1_000,
    reconcile: async ({ signal }) => {
      if (runs++ > 0) return done;
      await fixture.clock.sleep(5_000); // ignores its signal
      reasons.push(signal.reason);
      throw new Error('gave up at last');
    },
  });
  fixture.controller.enqueue('a');
  await fixture.clock.advance(1_500);
  fixture.controller.enqueue('a');
  await fixture.clock.advance(3_000);
  assert.equal(runs, 1);
  await fixture.clock.advance(2_000);
  assert.equal(runs, 2);
  assert.match(String(reasons[0]), /a took longer than 1000 ms/);
  assert.equal(
    await sample(fixture.metrics, 'controller_runtime_reconcile_timeouts_total{controller="test"}'),
    1,
  );
});

test('fresh changes overtake the flood of the first list', async () => {
  const seen: string[] = [];
  const source = aSource();
  const clock = new FakeClock();
  const controller = createController(
    {
      name: 'test',
      logger: silentLogger,
      reconcile: async ({ key }) => {
        seen.push(key);
        return done;
      },
    },
    { clock },
  );
  controller.watches(source.informer, itself);
  for (let i = 0; i < 3; i++) source.put(`listed-${i}`, true);
  source.put('fresh');
  source.put('listed-2');
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  await clock.advance(1);
  stop.abort();
  await running;
  assert.deepEqual(seen, ['fresh', 'listed-2', 'listed-0', 'listed-1']); // in the order of the changes
});

test('what an object pointed at before a change is looked at, too', async () => {
  const seen: string[] = [];
  await using fixture = start({
    reconcile: async ({ key }) => {
      seen.push(key);
      return done;
    },
  });
  const source = aSource();
  fixture.controller.watches(source.informer, ({ metadata }) => [
    metadata.labels?.['of'] ?? 'nobody',
  ]);
  source.put('child', false, { of: 'first' });
  await fixture.clock.advance(1);
  source.put('child', false, { of: 'second' });
  await fixture.clock.advance(1);
  assert.deepEqual(seen.sort(), ['first', 'first', 'second']);
});

test('every object is looked at once in a resync period, not all at once', async () => {
  const times = new Map<string, number[]>();
  await using fixture = start({
    resyncMs: 100_000,
    reconcile: async ({ key }) => {
      times.set(key, [...(times.get(key) ?? []), fixture.clock.monotonic()]);
      return done;
    },
  });
  const source = aSource();
  fixture.controller.watches(source.informer, itself);
  for (let i = 0; i < 100; i++) source.put(`thing-${i}`, true);
  while (times.size < 100) await fixture.clock.advance(1);
  times.clear();
  await fixture.clock.advance(220_000);
  assert.equal(times.size, 100);
  for (const [key, [first = 0, second = 0]] of times)
    assert.ok(Math.abs(second - first - 100_000) <= 1, `${key}: ${first}, ${second}`);
  const firsts = [...times.values()].map(([first = 0]) => first);
  assert.ok(
    new Set(firsts.map((ms) => Math.floor(ms / 5_000))).size >= 15,
    'spread over the period',
  );
});

test('a shutdown lets the reconcile under way finish and starts no other', async () => {
  const seen: string[] = [];
  const fixture = start({
    reconcile: async ({ key, signal }) => {
      await fixture.clock.sleep(1_000);
      seen.push(`${key} ${signal.aborted}`);
      return done;
    },
  });
  fixture.controller.enqueue('a');
  fixture.controller.enqueue('b');
  await fixture.clock.advance(500);
  fixture.stop.abort();
  await fixture.clock.advance(600);
  await fixture.running;
  assert.deepEqual(seen, ['a false']);
});

test('a reconcile that outlives the grace of a shutdown is told', async () => {
  const reasons: string[] = [];
  const fixture = start({
    reconcile: async ({ signal }) => {
      await fixture.clock
        .sleep(60_000, signal)
        .catch((error: unknown) => reasons.push(String(error)));
      return done;
    },
  });
  fixture.controller.enqueue('a');
  await fixture.clock.advance(1);
  fixture.stop.abort();
  await fixture.clock.advance(25_000);
  await fixture.running;
  assert.match(reasons[0] ?? '', /grace is over/);
});

test('a flood of reconciles that wait for nothing lets others have their turn', async () => {
  let runs = 0;
  await using fixture = start({
    reconcile: async () => {
      runs++;
      return done;
    },
  });
  for (let i = 0; i < 1_000; i++) fixture.controller.enqueue(`key-${i}`);
  let turns = 0;
  for (; runs < 1_000; turns++) await setImmediate();
  assert.ok(turns >= 7, `${turns} turns`);
});

test('the series of a controller start at zero', async () => {
  await using fixture = start({ workers: 4, reconcile: async () => done });
  const controller = '{controller="test"}';
  for (const [series, value] of [
    ['controller_runtime_reconcile_total{controller="test",result="error"}', 0],
    [`controller_runtime_reconcile_panics_total${controller}`, 0],
    [`controller_runtime_max_concurrent_reconciles${controller}`, 4],
    [`controller_runtime_active_workers${controller}`, 0],
    ['workqueue_depth{name="test",controller="test"}', 0],
    ['workqueue_retries_total{name="test",controller="test"}', 0],
    ['workqueue_unfinished_work_seconds{name="test",controller="test"}', 0],
    ['workqueue_longest_running_processor_seconds{name="test",controller="test"}', 0],
  ] as const)
    assert.equal(await sample(fixture.metrics, series), value);
});
