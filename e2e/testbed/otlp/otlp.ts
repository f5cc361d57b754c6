/**
 * A collector's front door, built from OpenTelemetry's own Go definitions: says what a collector would have
 * understood. Its log holds its address and then what came.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildGo, moduleHash } from '../binaries.ts';
import { cacheDir, freePorts } from '../host.ts';
import { expect, startProcess } from '../process.ts';
import { noProgress, type Progress } from '../progress.ts';

export interface ReceivedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface ReceivedLog {
  readonly service: string;
  readonly eventName: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface Collector extends AsyncDisposable {
  readonly endpoint: string;
  spans(): readonly ReceivedSpan[];
  logs(): readonly ReceivedLog[];
  /** Everything that came, as text. */
  text(): string;
}

export async function startCollector(
  dir: string,
  progress: Progress = noProgress,
): Promise<Collector> {
  const source = import.meta.dirname;
  const program = readFileSync(join(source, 'main.go'));
  const hash = createHash('sha256').update(program).digest('hex').slice(0, 8);
  const binary = cacheDir('bin', `${moduleHash(source)}-${hash}`, 'otlp-receiver');
  if (!existsSync(binary))
    await buildGo({ name: 'otlp-receiver', source, path: '.', binary, progress });
  const [port = 0] = await freePorts(1);
  const endpoint = `http://127.0.0.1:${port}`;
  const receiver = await startProcess({
    name: 'otlp-receiver',
    command: binary,
    args: ['-listen', `127.0.0.1:${port}`],
    logFile: join(dir, 'otlp-receiver.log'),
    ready: async (signal) => {
      const response = await fetch(endpoint, { signal });
      expect(response.status === 404, `the receiver answers ${response.status}`);
    },
  });
  const text = (): string => readFileSync(receiver.logFile, 'utf8');
  return {
    endpoint,
    text,
    spans: () =>
      received(text())
        .flatMap(({ traces }) => traces?.resourceSpans ?? [])
        .flatMap(spansOf),
    logs: () =>
      received(text())
        .flatMap(({ logs }) => logs?.resourceLogs ?? [])
        .flatMap(logsOf),
    [Symbol.asyncDispose]: () => receiver.stop(),
  };
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, string | number | boolean>>;
}
interface Resource {
  readonly attributes: readonly Attribute[];
}
interface ResourceSpans {
  readonly resource: Resource;
  readonly scopeSpans: readonly {
    readonly spans: readonly {
      readonly traceId: string;
      readonly spanId: string;
      readonly parentSpanId?: string;
      readonly name: string;
      readonly startTimeUnixNano: string;
      readonly endTimeUnixNano: string;
      readonly attributes?: readonly Attribute[];
    }[];
  }[];
}
interface ResourceLogs {
  readonly resource: Resource;
  readonly scopeLogs: readonly {
    readonly logRecords: readonly {
      readonly eventName?: string;
      readonly body?: { readonly stringValue?: string };
      readonly attributes?: readonly Attribute[];
    }[];
  }[];
}
interface Received {
  readonly traces?: { readonly resourceSpans?: readonly ResourceSpans[] };
  readonly logs?: { readonly resourceLogs?: readonly ResourceLogs[] };
}

/** Complete lines; the first is the address. */
const received = (text: string): readonly Received[] =>
  text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Received);

const attributesOf = (list: readonly Attribute[] = []): Readonly<Record<string, string>> =>
  Object.fromEntries(list.map(({ key, value }) => [key, String(Object.values(value)[0])]));

const serviceOf = ({ attributes }: Resource): string =>
  attributesOf(attributes)['service.name'] ?? '';

/** Bytes are base64 in protobuf's JSON. */
const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');
const milliseconds = (nanoseconds: string): number => Number(BigInt(nanoseconds) / 1_000n) / 1_000;

const spansOf = ({ resource, scopeSpans }: ResourceSpans): readonly ReceivedSpan[] =>
  scopeSpans
    .flatMap(({ spans }) => spans)
    .map((span) => ({
      service: serviceOf(resource),
      traceId: hex(span.traceId),
      spanId: hex(span.spanId),
      parentSpanId: hex(span.parentSpanId ?? ''),
      name: span.name,
      start: milliseconds(span.startTimeUnixNano),
      end: milliseconds(span.endTimeUnixNano),
      attributes: attributesOf(span.attributes),
    }));

const logsOf = ({ resource, scopeLogs }: ResourceLogs): readonly ReceivedLog[] =>
  scopeLogs
    .flatMap(({ logRecords }) => logRecords)
    .map((record) => ({
      service: serviceOf(resource),
      eventName: record.eventName ?? '',
      body: record.body?.stringValue ?? '',
      attributes: attributesOf(record.attributes),
    }));
