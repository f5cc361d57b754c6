/**
 * Whether a site is connected, from its Lease, and whose fault it is when it is not.
 *
 * Guarantees: the age of a Lease is measured by our own monotonic clock from when its renewal was seen; a
 * released Lease counts at once, one that is not renewed after its duration; when no hub lives, when hubs or the
 * operator itself have come back less than a minute ago, or more than half of at least five sites went within a minute, it is the region
 * that cannot see: HubUnavailable, for five minutes at most while hubs live.
 */
import { type CloudletCondition, type CloudletReason } from './conditions.ts';
import type { Clock } from '@cloudlet/runtime/base';
import type { Lease } from '../../kinds.ts';
import { hubLeasePrefix, leaseAnnotations, siteLeasePrefix } from '../../names.ts';
import { nextGoneMs, type TurnedAwayEntry, turnedAwayOf } from '../../turned-away.ts';

export interface Connection {
  readonly status: CloudletCondition;
  readonly reason: CloudletReason;
  readonly message: string;
  /** Name of the hub that holds the tunnel. */
  readonly hub?: string;
  /** Look again after so many milliseconds. */
  readonly recheckMs?: number;
}

interface SiteState {
  isConnected: boolean;
  /** Monotonic; when it was found lost. */
  lostAt?: number;
  /** It went with many others. */
  wentWithMany?: boolean;
  /** It was connected when the operator ended, and was not when it started. */
  lostAtStart?: boolean;
}

const windowMs = 60_000;
const leastSites = 5;
const patienceMs = 5 * 60_000;
const hubGraceMs = 60_000;
const defaultDurationMs = 90_000;

export interface LivenessOptions {
  readonly clock: Clock;
  /** Sites that are to be judged again, now that others went as well. */
  readonly onMassLoss: (sites: readonly string[]) => void;
}

export class Liveness {
  readonly #clock: Clock;
  readonly #onMassLoss: LivenessOptions['onMassLoss'];
  /** By name of the Lease: which renewal was seen, and when. */
  readonly #seen = new Map<string, { renewal: string; at: number }>();
  readonly #sites = new Map<string, SiteState>();
  readonly #hubs = new Map<string, Lease>();
  readonly #startedAt: number;
  #hubsBackAt: number | undefined;

  constructor(options: LivenessOptions) {
    this.#clock = options.clock;
    this.#startedAt = options.clock.monotonic();
    this.#onMassLoss = options.onMassLoss;
  }

  /** To be told of every Lease of the system namespace, as it comes. */
  observe(lease: Lease, isGone = false): void {
    const { name } = lease.metadata;
    const isHub = name.startsWith(hubLeasePrefix);
    if (!isHub && !name.startsWith(siteLeasePrefix)) return;
    const hadHubs = this.#liveHubs() > 0;
    if (isGone) {
      this.#seen.delete(name);
      this.#hubs.delete(name);
      return;
    }
    const renewal = `${lease.spec?.holderIdentity ?? ''} ${lease.spec?.renewTime ?? ''}`;
    const known = this.#seen.get(name);
    if (known?.renewal !== renewal)
      this.#seen.set(name, {
        renewal,
        at: known ? this.#clock.monotonic() : this.#firstSeen(lease),
      });
    if (!isHub) return;
    this.#hubs.set(name, lease);
    if (!hadHubs && this.#liveHubs() > 0) this.#hubsBackAt = this.#clock.monotonic();
  }

  /** A Lease that is old when it is first seen has its age by the wall clock, but never more than all of it. */
  #firstSeen(lease: Lease): number {
    const renewed = Date.parse(lease.spec?.renewTime ?? '');
    const age = Number.isNaN(renewed) ? 0 : Math.max(0, this.#clock.now() - renewed);
    return this.#clock.monotonic() - Math.min(age, durationOf(lease));
  }

  #remainingMs(lease: Lease): number {
    if (!lease.spec?.holderIdentity) return 0;
    const seen = this.#seen.get(lease.metadata.name);
    if (!seen) return 0;
    return seen.at + durationOf(lease) - this.#clock.monotonic();
  }

  #liveHubs(): number {
    return [...this.#hubs.values()].filter((lease) => this.#remainingMs(lease) > 0).length;
  }

  /** As it was judged last. */
  isConnected(site: string): boolean {
    return this.#sites.get(site)?.isConnected ?? false;
  }

  forget(site: string): void {
    this.#sites.delete(site);
  }

  /** Judges one site. `wasConnected` is what its status says so far. */
  judge(site: string, lease: Lease | undefined, wasConnected: boolean): Connection {
    const known = this.#sites.get(site);
    const state = known ?? { isConnected: wasConnected };
    this.#sites.set(site, state);
    const away = turnedAwayOf(lease, this.#clock.now());
    const remainingMs = lease && !isHolderAway(lease, away) ? this.#remainingMs(lease) : 0;
    if (lease && remainingMs > 0) {
      state.isConnected = true;
      delete state.lostAt;
      delete state.wentWithMany;
      delete state.lostAtStart;
      return connected(lease, remainingMs, away);
    }
    const wasNever = !lease?.spec?.acquireTime && !state.isConnected && state.lostAt === undefined;
    if (wasNever && away.length === 0) return never;
    if (state.isConnected) {
      state.isConnected = false;
      state.lostAt = this.#clock.monotonic();
      state.lostAtStart = known === undefined;
      this.#noticeMassLoss();
    }
    if (lease?.metadata.annotations?.[leaseAnnotations.duplicate] !== undefined) return duplicate;
    if (away.length > 0) return mismatch(away, this.#clock.now());
    return this.#blame(state);
  }

  /** Marks every site that went within the window, if together they are more than half of those there were. */
  #noticeMassLoss(): void {
    const since = this.#clock.monotonic() - windowMs;
    const lost = [...this.#sites].filter(
      ([, { lostAt }]) => lostAt !== undefined && lostAt > since,
    );
    const present = [...this.#sites.values()].filter(({ isConnected }) => isConnected).length;
    if (lost.length + present < leastSites || lost.length * 2 <= lost.length + present) return;
    const fresh = lost.filter(([, state]) => !state.wentWithMany);
    for (const [, state] of fresh) state.wentWithMany = true;
    if (fresh.length > 0) this.#onMassLoss(fresh.map(([name]) => name));
  }

  #blame(state: SiteState): Connection {
    if (this.#liveHubs() === 0) return hubUnavailable('No hub is running.', 10_000);
    const now = this.#clock.monotonic();
    const lostAt = state.lostAt ?? -Infinity;
    const backAt = state.lostAtStart ? this.#startedAt : (this.#hubsBackAt ?? -Infinity);
    const graceMs = backAt + hubGraceMs - now;
    const wasLostBefore = state.lostAt !== undefined && state.lostAt < backAt;
    if (graceMs > 0 && (state.lostAtStart || wasLostBefore))
      return hubUnavailable('The region has just come back.', graceMs);
    const patience = lostAt + patienceMs - now;
    if (state.wentWithMany && patience > 0)
      return hubUnavailable('Many sites went at the same time.', patience);
    return {
      status: 'False',
      reason: 'SiteUnreachable',
      message: 'No agent of the site is connected.',
    };
  }
}

const durationOf = (lease: Lease): number =>
  (lease.spec?.leaseDurationSeconds ?? defaultDurationMs / 1000) * 1000;

function connected(
  lease: Lease,
  remainingMs: number,
  away: readonly TurnedAwayEntry[],
): Connection {
  const holder = lease.spec?.holderIdentity ?? '';
  return {
    status: 'True',
    reason: 'Connected',
    message: ['An agent of the site is connected.', ...away.map(refusalOf)].join(' '),
    hub: holder.slice(0, Math.max(0, holder.lastIndexOf('/'))) || holder,
    recheckMs: remainingMs + 50,
  };
}

/** The holder was turned away since its Lease was renewed: no hub will renew it. */
function isHolderAway({ spec }: Lease, away: readonly TurnedAwayEntry[]): boolean {
  const boot = spec?.holderIdentity?.split('/').at(-1);
  const renewedAt = Date.parse(spec?.renewTime ?? '');
  return away.some((entry) => entry.boot === boot && Date.parse(entry.at) > renewedAt);
}

const refusalOf = ({ member, message }: TurnedAwayEntry): string =>
  `${member} is turned away: ${message}.`;

const mismatch = (away: readonly TurnedAwayEntry[], now: number): Connection => ({
  status: 'False',
  reason: 'VersionMismatch',
  message: ['No agent of the site is connected.', ...away.map(refusalOf)].join(' '),
  recheckMs: nextGoneMs(away, now) + 50,
});

const hubUnavailable = (message: string, recheckMs: number): Connection => ({
  status: 'Unknown',
  reason: 'HubUnavailable',
  message,
  recheckMs: recheckMs + 50,
});

const never: Connection = {
  status: 'False',
  reason: 'NeverConnected',
  message: 'No agent of the site has connected yet.',
};

const duplicate: Connection = {
  status: 'False',
  reason: 'DuplicateAgent',
  message:
    'Two agents with keys of this site took it from each other again and again; both are refused. Was a state folder copied: stop the copy, then put the key into spec.acceptedKeys (take it out first where it is there). Was the key stolen: put it into spec.revokedKeys and give the agent a new one.',
};
