/**
 * OpenTelemetry's Collector, built from its Go modules: says what it understood of what the region sent.
 *
 * Guarantees: the real receiver and pipelines; what is told of is what its exporter wrote to a file; what the
 * Collector itself complains of can be asked for too.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
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
  /** What the Collector warned of, such as a request that it refused. */
  complaints(): readonly string[];
}

/** Builds the Collector where it is not in the cache, which takes some minutes. @returns its path. */
export async function ensureCollector(
  progress: Progress = noProgress,
  signal?: AbortSignal,
): Promise<string> {
  const source = import.meta.dirname;
  const program = readFileSync(join(source, 'main.go'));
  const hash = createHash('sha256').update(program).digest('hex').slice(0, 8);
  const binary = cacheDir('bin', `${moduleHash(source)}-${hash}`, 'otelcol');
  if (!existsSync(binary)) {
    const build = { name: 'otelcol', source, path: '.', binary, progress };
    await buildGo({ ...build, ...(signal && { signal }) });
  }
  return binary;
}

export async function startCollector(dir: string): Promise<Collector> {
  const command = await ensureCollector();
  const [port = 0] = await freePorts(1);
  const endpoint = `http://127.0.0.1:${port}`;
  const [config, written] = [join(dir, 'otelcol.yaml'), join(dir, 'otelcol.jsonl')];
  writeFileSync(config, stringify(configOf(port, written)));
  const collector = await startProcess({
    ...{ name: 'otelcol', command, args: ['--config', config] },
    logFile: join(dir, 'otelcol.log'),
    ready: async (signal) => {
      const response = await fetch(endpoint, { signal });
      expect(response.status === 404, `the Collector answers ${response.status}`);
    },
  });
  const text = (): string => (existsSync(written) ? readFileSync(written, 'utf8') : '');
  return {
    endpoint,
    text,
    spans: () =>
      received(text()).flatMap(({ resourceSpans = [] }) => resourceSpans.flatMap(spansOf)),
    logs: () => received(text()).flatMap(({ resourceLogs = [] }) => resourceLogs.flatMap(logsOf)),
    complaints: () =>
      readFileSync(collector.logFile, 'utf8')
        .split('\n')
        .filter((line) => /\t(warn|error|fatal)\t/.test(line)),
    [Symbol.asyncDispose]: () => collector.stop(),
  };
}

/** Everything goes to one file, soon. */
function configOf(port: number, path: string): object {
  const pipeline = { receivers: ['otlp'], exporters: ['file'] };
  return {
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
    exporters: { file: { path, flush_interval: '100ms' } },
    service: {
      telemetry: { metrics: { level: 'none' } },
      pipelines: { traces: pipeline, logs: pipeline },
    },
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
/** A line of the file. */
interface Received {
  readonly resourceSpans?: readonly ResourceSpans[];
  readonly resourceLogs?: readonly ResourceLogs[];
}

/** Of complete lines. */
const received = (text: string): readonly Received[] =>
  text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Received);

const attributesOf = (list: readonly Attribute[] = []): Readonly<Record<string, string>> =>
  Object.fromEntries(list.map(({ key, value }) => [key, String(Object.values(value)[0])]));

const serviceOf = ({ attributes }: Resource): string =>
  attributesOf(attributes)['service.name'] ?? '';

const milliseconds = (nanoseconds: string): number => Number(BigInt(nanoseconds) / 1_000n) / 1_000;

const spansOf = ({ resource, scopeSpans }: ResourceSpans): readonly ReceivedSpan[] =>
  scopeSpans
    .flatMap(({ spans }) => spans)
    .map((span) => ({
      service: serviceOf(resource),
      traceId: span.traceId,
      spanId: span.spanId,
      parentSpanId: span.parentSpanId ?? '',
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
