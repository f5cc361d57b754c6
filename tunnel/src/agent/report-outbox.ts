/**
 * Reports on their way to the region: the latest of each object, until it is acknowledged.
 *
 * Guarantees: of an object one report at most is on its way, and `maxReportsInFlight` in all; a later report
 * waits for the answer to the one before and replaces another that waits; what was on its way when the link
 * went is sent again on the next; a Retry is sent again after a growing delay unless a later report came.
 */
import { backoffMs, type Clock, type Logger, type Random } from '@cloudlet/runtime/base';
import {
  limits,
  maxSiteSpans,
  type AgentMessage,
  type HubMessage,
  type InstanceReport,
  type SiteReport,
  type SiteSpan,
} from '../wire.ts';

type Body =
  | { readonly t: 'report'; readonly report: InstanceReport; readonly spans?: SiteSpan[] }
  | { readonly t: 'site'; readonly report: SiteReport };
type Ack = Extract<HubMessage, { t: 'ack' }>;

interface Entry {
  readonly body: Body;
  /** Times that the region asked for a retry. */
  readonly tries: number;
}

const maxObjects = limits.maxInstances * 2;
const retry = { baseMs: 500, maxMs: 30_000, jitter: 0.5 } as const;

export interface ReportOutboxOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random | undefined;
}

export class ReportOutbox {
  readonly #options: ReportOutboxOptions;
  readonly #waiting = new Map<string, Entry>();
  readonly #inFlight = new Map<number, { readonly key: string; readonly entry: Entry }>();
  /** Keys whose entry waits for its time. */
  readonly #delayed = new Set<string>();
  #send: ((message: AgentMessage) => void) | undefined;
  #n = 0;

  constructor(options: ReportOutboxOptions) {
    this.#options = options;
  }

  /** Objects whose latest report is not acknowledged. */
  get open(): number {
    const keys = new Set(this.#waiting.keys());
    for (const { key } of this.#inFlight.values()) keys.add(key);
    return keys.size;
  }

  put(body: Body): void {
    const key = body.t === 'site' ? 'site' : `instance ${body.report.id}`;
    const bytes = Buffer.byteLength(JSON.stringify(body));
    if (bytes > limits.maxReportBytes - 64) {
      this.#options.logger.error('report too long, left out', { report: key, bytes });
      return;
    }
    if (!this.#waiting.has(key) && this.#waiting.size >= maxObjects) {
      this.#options.logger.error('too many reports wait, left out', { report: key });
      return;
    }
    this.#delayed.delete(key);
    this.#waiting.set(key, { body: withSpansOf(this.#waiting.get(key)?.body, body), tries: 0 });
    this.#flush();
  }

  /** A link is up: everything unacknowledged goes over it. */
  attach(send: (message: AgentMessage) => void): void {
    this.detach();
    this.#send = send;
    this.#delayed.clear();
    this.#flush();
  }

  detach(): void {
    this.#send = undefined;
    for (const { key, entry } of this.#inFlight.values())
      if (!this.#waiting.has(key)) this.#waiting.set(key, entry);
    this.#inFlight.clear();
  }

  acknowledged(ack: Ack): void {
    const sent = this.#inFlight.get(ack.n);
    if (!sent) return; // of an earlier link
    this.#inFlight.delete(ack.n);
    const { key, entry } = sent;
    if (ack.result === 'Dropped')
      this.#options.logger.warn('report dropped by the region', {
        report: key,
        reason: ack.message,
      });
    if (ack.result === 'Retry' && !this.#waiting.has(key)) this.#delay(key, entry);
    this.#flush();
  }

  #delay(key: string, { body, tries }: Entry): void {
    const entry = { body, tries: tries + 1 };
    this.#waiting.set(key, entry);
    this.#delayed.add(key);
    this.#options.clock.after(backoffMs(tries, retry, this.#options.random), () => {
      if (this.#waiting.get(key) !== entry) return;
      this.#delayed.delete(key);
      this.#flush();
    });
  }

  #flush(): void {
    if (!this.#send) return;
    const busy = new Set([...this.#inFlight.values()].map(({ key }) => key));
    for (const [key, entry] of this.#waiting) {
      if (this.#inFlight.size >= limits.maxReportsInFlight) return;
      if (busy.has(key) || this.#delayed.has(key)) continue;
      this.#waiting.delete(key);
      const n = this.#n++;
      this.#inFlight.set(n, { key, entry });
      this.#send({ ...entry.body, n });
    }
  }
}

/** A report that never left leaves its timings to the one in its place. */
function withSpansOf(before: Body | undefined, body: Body): Body {
  if (before?.t !== 'report' || body.t !== 'report' || !before.spans) return body;
  return { ...body, spans: [...before.spans, ...(body.spans ?? [])].slice(-maxSiteSpans) };
}
