/**
 * Keys of strangers that wait for a person's yes, kept on the Lease of their Cloudlet.
 *
 * Guarantees: at most four a Cloudlet; one that did not ask for ten minutes gives its place up when another
 * needs it; the Lease is written only when the list changes.
 */
import type { Clock } from '@cloudlet/runtime/base';
import { leaseAnnotations } from '../names.ts';
import { type LeaseChange, type WaitingKey, waitingOf } from './lease-record.ts';
import type { SiteLeases } from './site-leases.ts';

const maxWaiting = 4;
const idleMs = 10 * 60_000;
const maxSeen = 10_000;

export class WaitingKeys {
  readonly #leases: SiteLeases;
  readonly #clock: Clock;
  /** When each key asked last, by this replica's clock. */
  readonly #seen = new Map<string, number>();

  constructor(options: { readonly leases: SiteLeases; readonly clock: Clock }) {
    this.#leases = options.leases;
    this.#clock = options.clock;
  }

  /** @returns false when there is no room. */
  async add(site: string, key: Omit<WaitingKey, 'since'>): Promise<boolean> {
    this.#note(`${site} ${key.fingerprint}`);
    let hasRoom = true;
    await this.#leases.edit(site, (lease, now) => {
      hasRoom = true;
      const waiting = waitingOf(lease);
      if (waiting.some(({ fingerprint }) => fingerprint === key.fingerprint)) return undefined;
      const fresh = waiting.filter((other) => !this.#isIdle(site, other, now));
      const kept = waiting.length < maxWaiting ? waiting : fresh;
      hasRoom = kept.length < maxWaiting;
      if (!hasRoom) return undefined;
      return written([...kept, { ...key, since: new Date(now).toISOString() }]);
    });
    return hasRoom;
  }

  async drop(site: string, fingerprint: string): Promise<void> {
    await this.#leases.edit(site, (lease) => {
      const waiting = waitingOf(lease);
      const rest = waiting.filter((key) => key.fingerprint !== fingerprint);
      return rest.length === waiting.length ? undefined : written(rest);
    });
  }

  #isIdle(site: string, key: WaitingKey, now: number): boolean {
    const seen = this.#seen.get(`${site} ${key.fingerprint}`);
    const since = Date.parse(key.since);
    return now - Math.max(seen ?? 0, Number.isNaN(since) ? 0 : since) > idleMs;
  }

  #note(key: string): void {
    this.#seen.delete(key);
    this.#seen.set(key, this.#clock.now());
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > maxSeen && oldest !== undefined) this.#seen.delete(oldest);
  }
}

function written(keys: readonly WaitingKey[]): LeaseChange {
  return {
    annotations: { [leaseAnnotations.waiting]: keys.length > 0 ? JSON.stringify(keys) : null },
  };
}
