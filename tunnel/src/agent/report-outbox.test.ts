import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import { type AgentMessage, agentMessage, hubMessage, type InstanceReport } from '../wire.ts';
import { ReportOutbox } from './report-outbox.ts';

const report = (sequence: number): InstanceReport => ({
  id: 'web',
  object: { namespace: 'shop', name: 'web' },
  status: { site: { uid: 'u', boot: 'b', sequence, placement: 1 }, conditions: [] },
});
const span = (name: 'store' | 'apply', start: number) => ({
  ...{ name, start, end: start + 1, sequence: 1 },
});

test('a report that another replaces before it left leaves its timings to that one', () => {
  const outbox = new ReportOutbox({ clock: new FakeClock(), logger: silentLogger });
  const sent: AgentMessage[] = [];
  outbox.put({ t: 'report', report: report(1), spans: [span('store', 1)] });
  outbox.put({ t: 'report', report: report(2), spans: [span('apply', 5)] });
  outbox.put({ t: 'report', report: report(3) });
  outbox.attach((message) => void sent.push(message));
  assert.deepEqual(sent, [
    { t: 'report', n: 0, report: report(3), spans: [span('store', 1), span('apply', 5)] },
  ]);
});

test('timings that are no good cost a report nothing, and a trace that is none a plan nothing', () => {
  const message = {
    t: 'report',
    n: 0,
    report: report(1),
    spans: [{ name: 'rm -rf', start: 'now' }],
  };
  const parsed = agentMessage.parse(message);
  assert.deepEqual(parsed, { t: 'report', n: 0, report: report(1), spans: undefined });
  const plan = {
    ...{ id: 'web', sequence: 1, cloudlet: 'north' },
    object: { namespace: 'shop', name: 'web', uid: 'u', generation: 1 },
    app: { name: 'web', version: '1', revision: 'r' },
    workload: { kind: 'Image', image: 'web:1' },
  };
  const sent = hubMessage.parse({ t: 'plan', hash: 'h', plan, trace: 'no traceparent' });
  assert.equal(sent.t === 'plan' && sent.trace, undefined);
});
