/**
 * Removals that sites confirmed, put on record on the Lease of the site, where the operator reads them.
 *
 * Guarantees: confirmations that come together cost one write; an entry is dropped when its tombstone is
 * gone; the list never outgrows what an annotation can hold: what does not fit waits for the next round.
 */
import { leaseAnnotations } from '../names.ts';
import { type LeaseChange, type RemovedItem, removedOf } from './lease-record.ts';
import { ledgerIndex } from './orders.ts';
import type { Region } from './region.ts';
import type { SiteLeases } from './site-leases.ts';

/** About 100 bytes each; all annotations of an object have 256 KiB. */
const maxListed = 1000;

export class Removals {
  readonly #leases: SiteLeases;
  readonly #region: Pick<Region, 'ledger' | 'siteLease'>;
  readonly #pending = new Map<string, Map<string, number>>();

  constructor(leases: SiteLeases, region: Pick<Region, 'ledger' | 'siteLease'>) {
    this.#leases = leases;
    this.#region = region;
  }

  /** Whether the Lease holds it, or a later one, as far as this replica knows. */
  isOnRecord(site: string, id: string, sequence: number): boolean {
    const lease = this.#region.siteLease(site);
    return lease !== undefined && isListed(removedOf(lease), id, sequence);
  }

  /**
   * Resolves when the removal is on record.
   * @returns false when there was no room for it: to be tried again.
   */
  async record(site: string, id: string, sequence: number): Promise<boolean> {
    const pending = this.#pending.get(site) ?? new Map<string, number>();
    this.#pending.set(site, pending.set(id, sequence));
    let hasRoom = false;
    try {
      await this.#leases.edit(site, (lease) => {
        const listed = this.#listed(site, removedOf(lease));
        hasRoom = isListed(listed, id, sequence);
        return changeOf(removedOf(lease), listed);
      });
    } finally {
      pending.delete(id); // what failed is reported again
      if (pending.size === 0) this.#pending.delete(site);
    }
    return hasRoom;
  }

  #listed(site: string, before: readonly RemovedItem[]): readonly RemovedItem[] {
    const { tombstones } = ledgerIndex(this.#region.ledger(site));
    const all = new Map(before.map((item) => [item.id, item.sequence]));
    for (const [id, sequence] of this.#pending.get(site) ?? [])
      all.set(id, Math.max(sequence, all.get(id) ?? 0));
    return [...all]
      .filter(([id]) => tombstones.has(id))
      .slice(0, maxListed)
      .map(([id, sequence]) => ({ id, sequence }));
  }
}

const isListed = (items: readonly RemovedItem[], id: string, sequence: number): boolean =>
  items.some((item) => item.id === id && item.sequence >= sequence);

function changeOf(
  before: readonly RemovedItem[],
  after: readonly RemovedItem[],
): LeaseChange | undefined {
  const [old, now] = [JSON.stringify(before), JSON.stringify(after)];
  if (old === now) return undefined;
  return { annotations: { [leaseAnnotations.removed]: after.length > 0 ? now : null } };
}
