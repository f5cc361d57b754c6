/**
 * When sites were away, as one witness saw it: a span from each `down` to the next `up`, all on one clock.
 */
export interface Outages {
  down(site: string, at: number): void;
  up(site: string, at: number): void;
  /** Milliseconds away of each site that was, all its spans together; one that is away still, until `now`. */
  totals(now: number): ReadonlyMap<string, number>;
}

export function createOutages(): Outages {
  const since = new Map<string, number>();
  const sums = new Map<string, number>();
  const add = (site: string, ms: number): void =>
    void sums.set(site, (sums.get(site) ?? 0) + Math.max(0, ms));
  return {
    down(site, at) {
      if (!since.has(site)) since.set(site, at);
    },
    up(site, at) {
      const from = since.get(site);
      if (from === undefined) return;
      since.delete(site);
      add(site, at - from);
    },
    totals(now) {
      const all = new Map(sums);
      for (const [site, from] of since) all.set(site, (all.get(site) ?? 0) + (now - from));
      return all;
    },
  };
}
