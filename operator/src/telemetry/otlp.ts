/**
 * OTLP over HTTP in protobuf, by OpenTelemetry's own exporters: they retry within the deadline, compress, and
 * read headers and certificates from the environment. Loaded only where there is a collector.
 */
import { SeverityNumber, SpanKind, SpanStatusCode } from '@opentelemetry/api';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { UnreachableError } from '@cloudlet/runtime/base';
import type { Exporter, ExporterOptions, LogRecord, Span } from './telemetry.ts';

type ReadableSpan = Parameters<OTLPTraceExporter['export']>[0][number];
type ReadableLog = Parameters<OTLPLogExporter['export']>[0][number];
type Resource = ReadableSpan['resource'];
type Time = ReadableSpan['startTime'];

const scope = { name: 'cloudlet' };
const nothingDropped = {
  droppedAttributesCount: 0,
  droppedEventsCount: 0,
  droppedLinksCount: 0,
} as const;

export async function connectOtlp(options: ExporterOptions): Promise<Exporter> {
  const { endpoint, timeoutMs: timeoutMillis } = options;
  const traces = new OTLPTraceExporter({ url: `${endpoint}/v1/traces`, timeoutMillis });
  const logs = new OTLPLogExporter({ url: `${endpoint}/v1/logs`, timeoutMillis });
  const resources = new Map<string, Resource>();
  const resourceOf = (service: string): Resource => {
    const known = resources.get(service) ?? resource(options, service);
    resources.set(service, known);
    return known;
  };
  return {
    spans: (batch) =>
      exported((done) =>
        traces.export(
          batch.map((span) => readableSpan(span, resourceOf(span.service ?? options.service))),
          done,
        ),
      ),
    logs: (batch) =>
      exported((done) =>
        logs.export(
          batch.map((record) => readableLog(record, resourceOf(options.service))),
          done,
        ),
      ),
    close: async () => void (await Promise.all([traces.shutdown(), logs.shutdown()])),
  };
}

/** 0 is success. */
type Done = Parameters<OTLPTraceExporter['export']>[1];

function exported(send: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    send(({ code, error }) => {
      if (Number(code) === 0) resolve();
      else reject(new UnreachableError('cannot export', { cause: error }));
    }),
  );
}

function resource({ service: own, version, instance }: ExporterOptions, service: string): Resource {
  const attributes = {
    'service.namespace': 'cloudlet',
    'service.name': service,
    ...(service === own ? { 'service.version': version, 'service.instance.id': instance } : {}),
  };
  // What the exporters read of a resource; the SDK's own also detects things at start, which we do not want.
  return { attributes, asyncAttributesPending: false } as unknown as Resource;
}

function readableSpan(span: Span, resource: Resource): ReadableSpan {
  const { name, traceId, spanId, parentId, start, end, attributes, error } = span;
  const context = (id: string) => ({ traceId, spanId: id, traceFlags: 1 });
  return {
    name,
    kind: SpanKind.INTERNAL,
    spanContext: () => context(spanId),
    ...(parentId === undefined ? {} : { parentSpanContext: context(parentId) }),
    startTime: timeOf(start),
    endTime: timeOf(Math.max(start, end)),
    duration: timeOf(Math.max(0, end - start)),
    status:
      error === undefined
        ? { code: SpanStatusCode.UNSET }
        : { code: SpanStatusCode.ERROR, message: error },
    attributes: { ...attributes },
    links: [],
    events: [],
    ended: true,
    resource,
    instrumentationScope: scope,
    ...nothingDropped,
  };
}

function readableLog(record: LogRecord, resource: Resource): ReadableLog {
  const { time, severity, eventName, body, attributes } = record;
  return {
    hrTime: timeOf(time),
    hrTimeObserved: timeOf(time),
    severityText: severity,
    severityNumber: severity === 'WARN' ? SeverityNumber.WARN : SeverityNumber.INFO,
    eventName,
    body,
    attributes: { ...attributes },
    resource,
    instrumentationScope: scope,
    droppedAttributesCount: 0,
  };
}

/** Seconds and nanoseconds. */
const timeOf = (ms: number): Time => {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1_000_000)];
};
