/**
 * Sites that leave the region: their Cloudlet is deleted and nothing is placed there any more. Every member
 * is asked to remove what the site has for itself, which only it can reach, before its key is worth nothing.
 *
 * Guarantees: asked once a connection, and only of a site whose ledger is empty; when all have answered, or
 * 30 s have passed, it is on record on the site's Lease, which the operator waits for.
 */
import type { Cloudlet } from '@cloudlet/crds';
import { type Clock, describeError, type Logger, type Timer } from '@cloudlet/runtime/base';
import type { SiteLink } from '@cloudlet/tunnel';
import { leaseAnnotations } from '../names.ts';
import type { SiteLeases } from './site-leases.ts';

export interface LeavingOptions {
  readonly region: {
    cloudlet(name: string): Cloudlet | undefined;
    idsOf(site: string): readonly string[];
  };
  readonly leases: Pick<SiteLeases, 'edit'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Farewell {
  readonly asked: WeakSet<SiteLink>;
  readonly waiting: Set<SiteLink>;
  readonly timer: Timer;
}

const answerMs = 30_000;

export class Leaving {
  readonly #options: LeavingOptions;
  readonly #sites = new Map<string, Farewell>();

  constructor(options: LeavingOptions) {
    this.#options = options;
  }

  /** Asks the site's members that were not asked yet, if the site leaves. */
  consider(site: string, links: readonly SiteLink[]): void {
    const { region } = this.#options;
    const isLeaving = region.cloudlet(site)?.metadata.deletionTimestamp !== undefined;
    if (!isLeaving) return this.#forget(site);
    if (links.length === 0 || region.idsOf(site).length > 0) return;
    const farewell = this.#sites.get(site) ?? this.#begin(site);
    for (const link of links) {
      if (farewell.asked.has(link) || link.closed.aborted) continue;
      farewell.asked.add(link);
      farewell.waiting.add(link);
      link.closed.addEventListener('abort', () => this.left(link), { once: true });
      link.sendLeave();
    }
  }

  /** The member did it, or is gone. */
  left(link: SiteLink): void {
    const { cloudlet: site } = link.identity;
    const farewell = this.#sites.get(site);
    if (!farewell?.waiting.delete(link) || farewell.waiting.size > 0) return;
    farewell.timer.cancel();
    this.#record(site);
  }

  #begin(site: string): Farewell {
    const { clock, logger } = this.#options;
    const timer = clock.after(answerMs, () => {
      logger.warn('a site that leaves did not say that it cleaned up', { cloudlet: site });
      this.#record(site);
    });
    const farewell: Farewell = { asked: new WeakSet(), waiting: new Set(), timer };
    this.#sites.set(site, farewell);
    return farewell;
  }

  #forget(site: string): void {
    this.#sites.get(site)?.timer.cancel();
    this.#sites.delete(site);
  }

  #record(site: string): void {
    const { region, leases, logger } = this.#options;
    const uid = region.cloudlet(site)?.metadata.uid;
    if (uid === undefined) return;
    leases
      .edit(site, (lease) =>
        lease.metadata.annotations?.[leaseAnnotations.left] === uid
          ? undefined
          : { annotations: { [leaseAnnotations.left]: uid } },
      )
      .catch((error: unknown) =>
        logger.warn('cannot record that a site has left', {
          cloudlet: site,
          error: describeError(error),
        }),
      );
  }
}
