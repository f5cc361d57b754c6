import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, silentLogger } from '@cloudlet/runtime/base';
import { Registry } from 'prom-client';
import { newSpanId, traceOf, traceparentOf } from './change-trace.ts';
import {
  type Exporter,
  type LogRecord,
  mostQueued,
  openTelemetry,
  type Span,
} from './telemetry.ts';

const aSpan = (name: string): Span => ({
  ...{ name, traceId: '0'.repeat(32), spanId: '0'.repeat(16), start: 1, end: 2, attributes: {} },
});
const aRecord = (body: string): LogRecord => ({
  ...{ time: 1, severity: 'INFO', eventName: 'cloudlet.event', body, attributes: {} },
});

async function opened(exporter: Partial<Exporter>) {
  const clock = new FakeClock();
  const registry = new Registry();
  const telemetry = await openTelemetry({
    ...{ endpoint: 'http://collector:4318/', service: 'cloudlet-hub', instance: 'hub-1' },
    ...{ clock, registry, logger: silentLogger },
    connect: async () => ({
      spans: async () => undefined,
      logs: async () => undefined,
      close: async () => undefined,
      ...exporter,
    }),
  });
  assert.ok(telemetry);
  const stop = new AbortController();
  const ended = telemetry.run(stop.signal);
  const dropped = async (signal: string): Promise<number> => {
    const { values } = (await registry.getSingleMetric('edge_telemetry_dropped_total')?.get()) ?? {
      values: [],
    };
    return values.find(({ labels }) => labels['signal'] === signal)?.value ?? 0;
  };
  const end = (): Promise<void> => {
    stop.abort();
    return ended;
  };
  return { telemetry, clock, dropped, end };
}

test('without an endpoint there is no telemetry, and a wrong one is told', async () => {
  const options = {
    ...{ service: 's', instance: 'i', clock: new FakeClock(), logger: silentLogger },
    registry: new Registry(),
  };
  assert.equal(await openTelemetry({ ...options, endpoint: undefined }), undefined);
  await assert.rejects(
    openTelemetry({ ...options, endpoint: 'collector:4318' }),
    /--otlp-endpoint wants a URL, not 'collector:4318'/,
  );
});

test('what was told goes in batches, and what is left goes at the end', async () => {
  const batches: number[] = [];
  const bodies: string[] = [];
  let isClosed = false;
  const { telemetry, end } = await opened({
    spans: async (batch) => void batches.push(batch.length),
    logs: async (batch) => void bodies.push(...batch.map(({ body }) => body)),
    close: async () => void (isClosed = true),
  });
  for (let index = 0; index < 700; index++) telemetry.span(aSpan(`${index}`));
  telemetry.log(aRecord('opened'));
  await end();
  assert.deepEqual([batches, bodies, isClosed], [[512, 188], ['opened'], true]);
});

test('what does not fit is dropped and counted, and no caller waits', async () => {
  const { telemetry, dropped, end } = await opened({});
  for (let index = 0; index < mostQueued + 3; index++) telemetry.span(aSpan(`${index}`));
  assert.equal(await dropped('traces'), 3);
  await end();
});

test('a collector that takes nothing costs what it was given, and no more', async () => {
  let calls = 0;
  const { telemetry, dropped, end } = await opened({
    spans: async () => {
      calls++;
      throw new Error('away');
    },
  });
  for (let index = 0; index < 1_000; index++) telemetry.span(aSpan(`${index}`));
  await end();
  assert.deepEqual([calls, await dropped('traces')], [1, 1_000]);
});

test('operator and hub know the trace of a change from instance and sequence alone', () => {
  const trace = traceOf('4b6c', 7);
  assert.deepEqual(trace, traceOf('4b6c', 7));
  assert.notEqual(trace.traceId, traceOf('4b6c', 8).traceId);
  assert.match(traceparentOf(trace, newSpanId()), /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});
