/**
 * What the site spends its time on for a plan, where the region asks: for its traces.
 *
 * Guarantees: holds nothing for a plan that came without a trace; each span is told once, with the next report
 * of its instance; ends with the start of what the plan asks for. Bounded in instances and spans.
 */
import type { Clock } from '@cloudlet/runtime/base';
import { maxSiteSpans, type SiteSpan } from '@cloudlet/tunnel/agent';

interface Watched {
  readonly sequence: number;
  readonly spans: SiteSpan[];
  /** Since when it waits for its turn; undefined once its first call began. */
  storedAt: number | undefined;
  /** When the last call of the driver ended; undefined while there was none. */
  appliedAt: number | undefined;
  /** It runs: what is done to it later is no part of this change. */
  isOver: boolean;
}

const mostWatched = 256;

export class Timings {
  readonly #clock: Clock;
  readonly #watched = new Map<string, Watched>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A plan that came at `receivedAt` is on disk. */
  stored(id: string, sequence: number, receivedAt: number): void {
    this.#watched.delete(id);
    const oldest = this.#watched.keys().next().value;
    if (this.#watched.size >= mostWatched && oldest !== undefined) this.#watched.delete(oldest);
    const now = this.#clock.now();
    const spans: SiteSpan[] = [{ name: 'store', start: receivedAt, end: now, sequence }];
    this.#watched.set(id, { sequence, spans, storedAt: now, appliedAt: undefined, isOver: false });
  }

  /** A plan came without a trace, or its order is another. */
  drop(id: string): void {
    this.#watched.delete(id);
  }

  /** A call of the driver that took `ms` ended. */
  applied(id: string, outcome: string, ms: number): void {
    const watched = this.#watched.get(id);
    if (!watched || watched.isOver) return;
    const { sequence } = watched;
    const end = this.#clock.now();
    const start = end - ms;
    if (watched.storedAt !== undefined)
      this.#add(watched, { name: 'queue', start: watched.storedAt, end: start, sequence });
    watched.storedAt = undefined;
    watched.appliedAt = end;
    this.#add(watched, { name: 'apply', start, end, sequence, outcome });
  }

  /** What is there was made of the plan of this sequence, and runs. */
  running(id: string, sequence: number): void {
    const watched = this.#watched.get(id);
    if (watched?.sequence !== sequence || watched.appliedAt === undefined) return;
    const { appliedAt: start } = watched;
    watched.appliedAt = undefined;
    watched.isOver = true;
    this.#add(watched, { name: 'start', start, end: this.#clock.now(), sequence });
  }

  /** What was not told yet. */
  take(id: string): readonly SiteSpan[] | undefined {
    const watched = this.#watched.get(id);
    if (!watched || watched.spans.length === 0) return undefined;
    if (watched.isOver) this.#watched.delete(id);
    return watched.spans.splice(0);
  }

  #add({ spans }: Watched, span: SiteSpan): void {
    if (spans.length < maxSiteSpans) spans.push({ ...span, end: Math.max(span.start, span.end) });
  }
}
