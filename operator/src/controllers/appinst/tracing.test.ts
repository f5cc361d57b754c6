import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@cloudlet/runtime/base';
import { aCondition, anAppInst } from '../../builders.ts';
import { traceOf } from '../../telemetry/change-trace.ts';
import type { Span } from '../../telemetry/telemetry.ts';
import { ChangeTracing } from './tracing.ts';

const pinned = (sequence: number, ready: 'True' | 'False' = 'False', reported = 0) =>
  anAppInst({
    status: {
      rollout: { revision: 'r', sequence, generation: 1 },
      placement: { cloudlet: 'edge1', sequence },
      conditions: [aCondition('Ready', ready, ready === 'True' ? 'Ready' : 'Progressing')],
      site: { uid: '', boot: '', sequence: 1, placement: reported },
    },
  });

function traced() {
  const spans: Span[] = [];
  const clock = new FakeClock();
  const telemetry = { span: (span: Span) => void spans.push(span), log: () => undefined };
  return { spans, clock, tracing: new ChangeTracing(telemetry, clock) };
}
const brief = (spans: readonly Span[]) =>
  spans.map(({ name, parentId, error }) => [name, parentId === undefined, error]);

test('a change is one trace from its pin to Ready, told once', () => {
  const { spans, clock, tracing } = traced();
  const unplaced = anAppInst({});
  tracing.reconciled(unplaced, pinned(3), clock.now() - 20);
  tracing.reconciled(pinned(3), pinned(3), clock.now());
  tracing.reconciled(pinned(3), pinned(3, 'True', 2), clock.now()); // an older plan serves
  tracing.reconciled(pinned(3), pinned(3, 'True', 3), clock.now());
  tracing.reconciled(pinned(3), pinned(3, 'True', 3), clock.now());
  assert.deepEqual(brief(spans), [
    ['operator: place and pin', false, undefined],
    ['operator: sum up', false, undefined],
    ['change of an AppInst', true, undefined],
  ]);
  const { traceId, rootId } = traceOf('id-web', 3);
  assert.ok(spans.every((span) => span.traceId === traceId));
  assert.equal(spans[2]?.spanId, rootId);
  assert.equal(spans[0]?.parentId, rootId);
});

test('a change that another takes the place of ends as what it is', () => {
  const { spans, clock, tracing } = traced();
  tracing.reconciled(anAppInst({}), pinned(3), clock.now());
  tracing.reconciled(pinned(3), pinned(4), clock.now());
  assert.deepEqual(brief(spans)[1], ['change of an AppInst', true, 'plan 4 took its place']);
});

test('a leader that did not see the pin tells no root', () => {
  const { spans, clock, tracing } = traced();
  tracing.reconciled(pinned(3), pinned(3, 'True', 3), clock.now());
  assert.deepEqual(spans, []);
});
