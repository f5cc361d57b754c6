/**
 * What the region's processes tell a collector beside their metrics: spans of changes, events and the opening
 * of sessions, by OTLP over HTTP.
 *
 * Guarantees: without `--otlp-endpoint` nothing of OpenTelemetry is loaded and nobody is called; with it no
 * caller waits or fails for it; the queue is bounded, and what does not fit or is not taken is dropped,
 * counted and told once a minute. No value of a Secret, variable or argument is ever in a span or a record.
 */
import {
  type Clock,
  describeError,
  type Flag,
  limitedLogger,
  type Logger,
  TerminalError,
} from '@cloudlet/runtime/base';
import { Counter, type Registry } from 'prom-client';
import { regionVersion } from '../version.ts';

export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface Span {
  readonly name: string;
  /** 32 and 16 hexadecimal digits. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId?: string;
  /** Milliseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Attributes;
  /** Why it failed. */
  readonly error?: string | undefined;
  /** Which process it is of, where that is not this one. */
  readonly service?: string;
}

export interface LogRecord {
  readonly time: number;
  readonly severity: 'INFO' | 'WARN';
  /** Such as `cloudlet.session.opened`. */
  readonly eventName: string;
  readonly body: string;
  readonly attributes: Attributes;
}

export interface Telemetry {
  span(span: Span): void;
  log(record: LogRecord): void;
}

/** What takes batches to a collector. */
export interface Exporter {
  /** Rejects within the deadline of its options. */
  spans(batch: readonly Span[]): Promise<void>;
  logs(batch: readonly LogRecord[]): Promise<void>;
  close(): Promise<void>;
}

export interface ExporterOptions {
  readonly endpoint: string;
  readonly service: string;
  readonly version: string;
  /** Such as the pod's name. */
  readonly instance: string;
  readonly timeoutMs: number;
}

export const otlpFlag = {
  'otlp-endpoint': {
    type: 'string',
    description:
      'http(s)://host:port of an OpenTelemetry collector (OTLP over HTTP, usually port 4318) for traces, events and sessions. Default: none. Headers and certificates by the environment: OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE.',
  },
} as const satisfies Readonly<Record<string, Flag>>;

export interface TelemetryOptions {
  readonly endpoint: string | undefined;
  /** Such as `cloudlet-hub`. */
  readonly service: string;
  readonly instance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
  /** @default OTLP over HTTP; loaded on first need */
  readonly connect?: (options: ExporterOptions) => Promise<Exporter>;
}

export interface RunningTelemetry extends Telemetry {
  /** Sends until the signal aborts, then what is left, within a few seconds. */
  run(signal: AbortSignal): Promise<void>;
}

/** What a process runs for it. */
export const servicesOf = (telemetry: RunningTelemetry | undefined) =>
  telemetry ? [{ name: 'telemetry', run: (signal: AbortSignal) => telemetry.run(signal) }] : [];

const flushMs = 1_000;
const timeoutMs = 5_000;
const batchSize = 512;
export const mostQueued = 4_096;

/**
 * @returns undefined where there is no endpoint.
 * @throws TerminalError (`InvalidFlags`) for one that is no URL.
 */
export async function openTelemetry(
  options: TelemetryOptions,
): Promise<RunningTelemetry | undefined> {
  const { endpoint, service, instance } = options;
  if (endpoint === undefined) return undefined;
  const url = URL.parse(endpoint);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw new TerminalError('InvalidFlags', `--otlp-endpoint wants a URL, not '${endpoint}'`);
  const connect = options.connect ?? (await import('./otlp.ts')).connectOtlp;
  const common = { service, instance, version: regionVersion, timeoutMs };
  const exporter = await connect({ endpoint: endpoint.replace(/\/+$/, ''), ...common });
  return new Queue(options, exporter);
}

class Queue implements RunningTelemetry {
  readonly #options: TelemetryOptions;
  readonly #exporter: Exporter;
  readonly #failures: Logger;
  readonly #dropped: Counter<'signal'>;
  #spans: Span[] = [];
  #logs: LogRecord[] = [];

  constructor(options: TelemetryOptions, exporter: Exporter) {
    this.#options = options;
    this.#exporter = exporter;
    this.#failures = limitedLogger(options.logger, options.clock);
    this.#dropped = new Counter({
      name: 'edge_telemetry_dropped_total',
      help: 'Spans and records that did not reach the collector.',
      labelNames: ['signal'],
      registers: [options.registry],
    });
  }

  span(span: Span): void {
    if (this.#spans.length < mostQueued) this.#spans.push(span);
    else this.#dropped.inc({ signal: 'traces' });
  }

  log(record: LogRecord): void {
    if (this.#logs.length < mostQueued) this.#logs.push(record);
    else this.#dropped.inc({ signal: 'logs' });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(flushMs, signal).catch(() => undefined); // the loop sees the abort
      await this.#flush();
    }
    await this.#exporter.close();
  }

  /** Everything that is there now, a batch after the other. */
  async #flush(): Promise<void> {
    const [spans, logs] = [this.#spans, this.#logs];
    this.#spans = [];
    this.#logs = [];
    await this.#send('traces', spans, (batch) => this.#exporter.spans(batch));
    await this.#send('logs', logs, (batch) => this.#exporter.logs(batch));
  }

  async #send<T>(
    name: 'traces' | 'logs',
    items: readonly T[],
    send: (batch: readonly T[]) => Promise<void>,
  ): Promise<void> {
    for (let first = 0; first < items.length; first += batchSize) {
      const batch = items.slice(first, first + batchSize);
      try {
        await send(batch);
      } catch (error) {
        // A collector that is away is not waited for: the next batches are newer.
        this.#dropped.inc({ signal: name }, items.length - first);
        this.#failures.warn('the collector does not take telemetry', {
          signal: name,
          error: describeError(error),
        });
        return;
      }
    }
  }
}
