/**
 * Keeps the Leases of sites in step with who acts for them here.
 *
 * Guarantees: nobody waits for a Lease: a write that fails is tried again while its link lives; what another
 * live boot holds is taken for an agent that answers at that moment, and for no other; duplicates that this or
 * another replica found are refused; after `stop` nothing is released, so that the next replica renews and
 * nobody sees the site as lost.
 */
import type { Cloudlet } from '@cloudlet/crds';
import {
  type Clock,
  ForbiddenError,
  InvalidError,
  type Logger,
  policyOf,
  retry,
} from '@cloudlet/runtime/base';
import type { SiteIdentity, SiteLink, TurnedAway } from '@cloudlet/tunnel';
import { letIn, turnedAway, turnedAwayOf } from '../turned-away.ts';
import {
  acquisition,
  type Duplicate,
  duplicateOf,
  isRefusedDuplicate,
  type LeaseChange,
  rearmed,
  release,
  rightfulBoot,
  standDown,
} from './lease-record.ts';
import type { HubMetrics } from './metrics.ts';
import type { Region } from './region.ts';
import type { SiteLeases } from './site-leases.ts';

export interface LeaseKeeperOptions {
  readonly hubName: string;
  readonly region: Pick<Region, 'cloudlet' | 'siteLease'>;
  readonly leases: SiteLeases;
  readonly metrics: HubMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** These boots of the site are to be refused. */
  readonly onDuplicate: (site: string, boots: readonly string[]) => void;
}

type KeyOfBoot = (boot: string) => string | undefined;

interface Taking {
  readonly contested: boolean;
  readonly duplicate?: Duplicate;
  /** Another boot has it by right: nothing was written. */
  readonly isHeld?: boolean;
}

const retryBackoff = { baseMs: 500, maxMs: 8_000, jitter: 0.3, attempts: 6 } as const;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #isStopped = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Takes or renews the Lease for the boot of `link`. */
  acquire(link: SiteLink, keyOfBoot: KeyOfBoot): void {
    void this.#acquire(link, keyOfBoot);
  }

  async #acquire(link: SiteLink, keyOfBoot: KeyOfBoot): Promise<void> {
    let outcome = await this.#take(link, keyOfBoot, false);
    // A sign of life from before this process stood still would take the Lease for an agent that is gone.
    if (outcome.isHeld && (await link.answers())) outcome = await this.#take(link, keyOfBoot, true);
    this.#judge(link, outcome);
  }

  async #take(link: SiteLink, keyOfBoot: KeyOfBoot, mayContest: boolean): Promise<Taking> {
    const site = link.identity.cloudlet;
    let outcome: Taking = { contested: false };
    const edit = (
      lease: Parameters<typeof acquisition>[0],
      now: number,
    ): LeaseChange | undefined => {
      const cloudlet = this.#options.region.cloudlet(site);
      if (!cloudlet) return undefined;
      const known = duplicateOf(lease);
      const { fingerprint } = link.identity;
      if (known && isRefused(known, link, isRefusedDuplicate(known, fingerprint, cloudlet))) {
        outcome = { contested: false, duplicate: known };
        return undefined;
      }
      const { boot } = link.hello;
      const holder = rightfulBoot(lease, now);
      if (!mayContest && holder !== undefined && holder !== boot) {
        outcome = { contested: false, isHeld: true };
        return undefined;
      }
      const otherBoot = lease.spec?.holderIdentity?.split('/').at(-1) ?? '';
      const result = acquisition(lease, {
        hub: this.#options.hubName,
        boot,
        fingerprint,
        otherFingerprint: keyOfBoot(otherBoot),
        cloudlet,
        now,
      });
      outcome = result;
      return result.change;
    };
    await this.#write('acquire', site, edit, link.closed);
    return outcome;
  }

  standDown(site: string, boot: string): void {
    const { hubName } = this.#options;
    void this.#write('stand down', site, (lease) => standDown(lease, hubName, boot));
  }

  release(site: string, boot: string): void {
    const { hubName } = this.#options;
    void this.#write('release', site, (lease) => release(lease, hubName, boot));
  }

  /** Puts a member on record whose agent no hub of this version can speak with. */
  turnAway({ cloudlet, fingerprint }: SiteIdentity, member: TurnedAway): void {
    void this.#write('note a refusal on', cloudlet, (lease, now) =>
      turnedAway(lease, { fingerprint, ...member }, now),
    );
  }

  /** Whoever was turned away before speaks with us now. */
  letIn({ identity: { cloudlet, fingerprint } }: SiteLink): void {
    const { region, clock } = this.#options;
    if (turnedAwayOf(region.siteLease(cloudlet), clock.now()).length === 0) return;
    void this.#write('take a refusal off', cloudlet, (lease, now) =>
      letIn(lease, fingerprint, now),
    );
  }

  /** A key that is taken out of the list can be accepted again. */
  rearm(site: string, cloudlet: Cloudlet): void {
    void this.#write('re-arm', site, (lease) => rearmed(lease, cloudlet));
  }

  async #write(
    what: string,
    site: string,
    edit: Parameters<SiteLeases['edit']>[1],
    signal?: AbortSignal,
  ): Promise<void> {
    if (this.#isStopped) return;
    const { leases, clock, logger } = this.#options;
    try {
      await retry(() => leases.edit(site, edit), {
        ...retryBackoff,
        clock,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (signal?.aborted) return;
      const isOurs = error instanceof ForbiddenError || error instanceof InvalidError;
      const level = isOurs ? 'error' : policyOf(error).log;
      logger.log(level, `cannot ${what} the Lease of a site`, { cloudlet: site, error });
    }
  }

  #judge(link: SiteLink, outcome: Taking): void {
    const { metrics, logger, onDuplicate } = this.#options;
    const { cloudlet } = link.identity;
    if (outcome.contested) {
      metrics.takeovers.inc();
      logger.warn('an agent took the Lease of its site from a live one', {
        cloudlet,
        boot: link.hello.boot,
      });
    }
    if (!outcome.duplicate) return;
    logger.warn('two agents contest a site: both are refused', { cloudlet });
    onDuplicate(cloudlet, [...outcome.duplicate.boots, link.hello.boot]);
  }
}

/** By key; by boot where the replica that found them did not know the other's key. */
function isRefused(record: Duplicate, link: SiteLink, isRefusedKey: boolean): boolean {
  const isKeyOnRecord = record.fingerprints.includes(link.identity.fingerprint);
  return isRefusedKey || (!isKeyOnRecord && record.boots.includes(link.hello.boot));
}
