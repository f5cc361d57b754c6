import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import type { InstanceReport } from '@cloudlet/tunnel/agent';
import type { Notes, Transitions } from '../store/index.ts';
import type { InstanceContent } from './instance-report.ts';
import { Reporter, transitionalMs } from './reporter.ts';

const settled = content({ running: 3 });
const fallen = content({ running: 2, isTransitional: true });

test('a fall from a settled state is told at once, and so is its end', () => {
  const { reporter, running } = started();
  reporter.offer(settled);
  reporter.offer(fallen);
  reporter.offer(settled);
  assert.deepEqual(running(), [3, 2, 3]);
});

test('a crash loop is told at most every five seconds between its settled states', async () => {
  const { reporter, clock, running } = started();
  reporter.offer(settled);
  reporter.offer(fallen);
  reporter.offer(settled);
  await clock.advance(transitionalMs - 1);
  reporter.offer(fallen);
  assert.deepEqual(running(), [3, 2, 3], 'the second fall waits');
  await clock.advance(1);
  reporter.offer(fallen);
  assert.deepEqual(running(), [3, 2, 3, 2]);
});

test('what a new plan sets in motion is told only when it lasts', async () => {
  const { reporter, clock, running } = started();
  reporter.offer(settled);
  reporter.offer(content({ running: 1, isTransitional: true, placement: 2 }));
  await clock.advance(transitionalMs - 1);
  assert.deepEqual(running(), [3]);
  await clock.advance(1);
  assert.deepEqual(running(), [3, 1]);
});

function started() {
  const clock = new FakeClock();
  const sent: InstanceReport[] = [];
  const notes: Transitions = {};
  const transitions = {
    get: () => notes,
    put: () => Promise.resolve(),
    drop: () => Promise.resolve(),
  } as unknown as Notes<Transitions>;
  const reporter = new Reporter({
    boot: 'boot-1',
    clock,
    logger: silentLogger,
    transitions,
    send: (report) => sent.push(report),
    sendSite: () => assert.fail('no report of the site is expected'),
  });
  reporter.setActive(true);
  return { reporter, clock, running: () => sent.map(({ status }) => status.instances?.length) };
}

function content(facts: {
  running: number;
  isTransitional?: boolean;
  placement?: number;
}): InstanceContent {
  const { running, isTransitional = false, placement = 1 } = facts;
  return {
    id: 'id-1',
    object: { namespace: 'demo', name: 'web' },
    site: { uid: 'uid-1', placement },
    verdicts: [],
    instances: Array.from({ length: running }, (_, index) => ({
      name: `web.${index}`,
      state: 'running',
    })),
    isTransitional,
  };
}
