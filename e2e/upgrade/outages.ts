/**
 * When sites were away, as one witness saw it: a span from each `down` to the next `up`, all on one clock.
 */
export interface Span {
  readonly from: number;
  /** Absent: it is away still. */
  readonly to?: number;
}

export interface Outages {
  down(site: string, at: number): void;
  up(site: string, at: number): void;
  /** Of each site that was away, in their order. */
  spans(): ReadonlyMap<string, readonly Span[]>;
}

export function createOutages(): Outages {
  const since = new Map<string, number>();
  const ended = new Map<string, readonly Span[]>();
  return {
    down(site, at) {
      if (!since.has(site)) since.set(site, at);
    },
    up(site, at) {
      const from = since.get(site);
      if (from === undefined) return;
      since.delete(site);
      ended.set(site, [...(ended.get(site) ?? []), { from, to: Math.max(from, at) }]);
    },
    spans() {
      const all = new Map(ended);
      for (const [site, from] of since) all.set(site, [...(all.get(site) ?? []), { from }]);
      return all;
    },
  };
}

/** Milliseconds of all spans together; one that has not ended counts until `now`. */
export const totalOf = (spans: readonly Span[], now: number): number =>
  spans.reduce((sum, { from, to = now }) => sum + (to - from), 0);
