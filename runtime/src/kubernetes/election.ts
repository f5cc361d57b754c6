/**
 * Leader election on a Lease, compatible with client-go's.
 *
 * Expected flow: try until the Lease is ours (a standby looks at it twice a second, which is what an orderly
 * change of leaders costs at most), call `lead`, renew every 2 s while it runs, release when it ended.
 *
 * Guarantees: who cannot renew for 10 s stops leading, before anybody else may start (15 s); the age of another's
 * Lease is measured by our own monotonic clock from when we saw it change, so clocks need not agree; renewals go
 * on while `lead` drains, and the Lease is released only after it returned.
 *
 * Caveats: a process that is paused for long believes, when it wakes, that it leads. `assertLeading` knows better:
 * ask it before each write (`fencedClient`). What was sent in the last moment needs a resource version besides.
 */
import type { Registry } from 'prom-client';
import {
  type Clock,
  ConflictError,
  type Logger,
  NotFoundError,
  type Random,
  TerminalError,
} from '../base/index.ts';
import { coreTypes } from './core-types.ts';
import { type Lease, formatMicroTime } from './lease.ts';
import { leaderMetric } from './metrics.ts';
import type { CallOptions, KubernetesClient, ResourceClient } from './types.ts';

const callTimeoutMs = 5_000;

export interface ElectionOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Differs in each process, also in two of one pod after a restart. */
  readonly identity: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random;
  readonly metrics?: Registry;
  /** @default 15_000 */
  readonly leaseDurationMs?: number;
  /** @default 10_000 */
  readonly renewDeadlineMs?: number;
  /** Between two renewals, and after a try that failed. @default 2_000 */
  readonly retryPeriodMs?: number;
  /** Between two looks at a Lease that another holds. @default 500 */
  readonly standbyPeriodMs?: number;
}

/** What came of a try: another holds it, or it is not known who. */
type Tried = 'Ours' | 'Held' | 'Failed';

export interface LeaderElection {
  readonly isLeader: boolean;
  /**
   * Passes while nobody else can lead: less than the renew deadline after a claim of ours went out that the API
   * server took. Measured by the monotonic clock, so a pause of the process counts.
   * @throws ConflictError otherwise
   */
  assertLeading(): void;
  /**
   * Runs `lead` when it is our turn and resolves after it returned and the Lease is released. The signal of
   * `lead` aborts with the outer one, or when leadership is lost.
   * @throws TerminalError (`LeadershipLost`) without waiting for `lead`: the process must end.
   */
  run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void>;
}

export function createLeaderElection(options: ElectionOptions): LeaderElection {
  return new LeaseElection(options);
}

class LeaseElection implements LeaderElection {
  readonly #options: ElectionOptions;
  readonly #leases: ResourceClient<Lease>;
  readonly #logger: Logger;
  readonly #durationMs: number;
  readonly #retryMs: number;
  readonly #standbyMs: number;
  readonly #renewDeadlineMs: number;
  readonly #show: (isLeader: boolean) => void;
  #isLeader = false;
  /** When the last claim that went through was sent, by our clock. */
  #claimedAt = -Infinity;
  /** The Lease as we saw it last, and when it last changed by our clock. */
  #seen: { readonly lease: Lease; readonly at: number } | undefined;

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#leases = options.client.resource<Lease>(coreTypes.leases);
    this.#logger = options.logger.with({ lease: `${options.namespace}/${options.name}` });
    this.#durationMs = options.leaseDurationMs ?? 15_000;
    this.#retryMs = options.retryPeriodMs ?? 2_000;
    this.#standbyMs = options.standbyPeriodMs ?? 500;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#show = options.metrics ? leaderMetric(options.metrics, options.name) : () => undefined;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  assertLeading(): void {
    const ageMs = this.#options.clock.monotonic() - this.#claimedAt;
    if (this.#isLeader && ageMs < this.#renewDeadlineMs) return;
    throw new ConflictError('not written: another process may lead by now');
  }

  async run(signal: AbortSignal, lead: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (!(await this.#acquire(signal))) return;
    const lost = new AbortController();
    const ended = new AbortController();
    this.#setLeader(true);
    const leading = lead(AbortSignal.any([signal, lost.signal])).finally(() => ended.abort());
    const renewing = this.#renew(ended.signal);
    try {
      // Losing the Lease overtakes `lead`, however long that still takes.
      await Promise.race([leading, renewing.then(() => leading)]);
    } catch (error) {
      lost.abort(error);
      leading.catch(() => undefined); // the first error is the one that counts
      throw error;
    } finally {
      if (ended.signal.aborted) await renewing.then(() => this.#release()).catch(() => undefined);
      this.#setLeader(false);
    }
  }

  /** False if the signal aborted first. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { clock, random = Math.random } = this.#options;
    while (!signal.aborted) {
      const tried = await this.#try();
      if (tried === 'Ours') return true;
      const expiresInMs = this.#seen
        ? this.#seen.at + durationOf(this.#seen.lease, this.#durationMs) - clock.monotonic()
        : Infinity;
      const periodMs = tried === 'Held' ? this.#standbyMs : this.#retryMs;
      const pauseMs = periodMs * (0.5 + 0.5 * random());
      const waitMs = expiresInMs > 0 ? Math.min(pauseMs, expiresInMs) : pauseMs;
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
    return false;
  }

  /**
   * Renews until `ended` aborts.
   * @throws TerminalError when somebody else has the Lease or no renewal went through in time.
   */
  async #renew(ended: AbortSignal): Promise<void> {
    const { clock, identity } = this.#options;
    const deadline = (): number => this.#claimedAt + this.#renewDeadlineMs;
    while (!ended.aborted) {
      await clock.sleep(this.#retryMs, ended).catch(() => undefined);
      if (ended.aborted) return;
      const leftMs = deadline() - clock.monotonic();
      if (leftMs > 0) await this.#try(leftMs);
      const holder = this.#seen?.lease.spec?.holderIdentity;
      if (holder && holder !== identity)
        throw new TerminalError('LeadershipLost', `${holder} holds the Lease now`);
      if (clock.monotonic() >= deadline())
        throw new TerminalError('LeadershipLost', `no renewal for ${this.#renewDeadlineMs} ms`);
    }
  }

  /**
   * Takes or renews the Lease. Failures are logged. Nothing aborts a call before its deadline: whether it went
   * through would be unknown, and the release would miss it.
   */
  async #try(timeoutMs = callTimeoutMs): Promise<Tried> {
    const call = { timeoutMs: Math.min(timeoutMs, callTimeoutMs) };
    try {
      return (await this.#takeOrRenew(call)) ? 'Ours' : 'Held';
    } catch (error) {
      const isChanged = error instanceof ConflictError || error instanceof NotFoundError;
      if (isChanged)
        await this.#look(call).catch(() => undefined); // the next try sees it again
      else this.#logger.warn('cannot take or renew the Lease', { error });
      return 'Failed';
    }
  }

  /** False where another holds it. */
  async #takeOrRenew(call: CallOptions): Promise<boolean> {
    const { clock, identity, namespace, name } = this.#options;
    const known = this.#isLeader ? this.#seen?.lease : undefined;
    const lease = known ?? (await this.#look(call));
    const sentAt = clock.monotonic();
    if (!lease) {
      const metadata = { name, namespace };
      this.#see(await this.#leases.create({ metadata, spec: this.#claim(undefined) }, call));
      this.#claimedAt = sentAt;
      return true;
    }
    const holder = lease.spec?.holderIdentity;
    const freeAt = (this.#seen?.at ?? 0) + durationOf(lease, this.#durationMs);
    if (holder && holder !== identity && sentAt < freeAt) return false;
    this.#see(await this.#leases.replace({ ...lease, spec: this.#claim(lease) }, call));
    this.#claimedAt = sentAt;
    return true;
  }

  async #look(call: CallOptions): Promise<Lease | undefined> {
    const { namespace, name } = this.#options;
    try {
      const lease = await this.#leases.get(name, namespace, call);
      this.#see(lease);
      return lease;
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
      this.#seen = undefined;
      return undefined;
    }
  }

  #see(lease: Lease): void {
    const isSame =
      this.#seen?.lease.metadata.resourceVersion === lease.metadata.resourceVersion &&
      this.#seen?.lease.metadata.uid === lease.metadata.uid;
    if (!isSame) this.#seen = { lease, at: this.#options.clock.monotonic() };
  }

  #claim(old: Lease | undefined): NonNullable<Lease['spec']> {
    const { clock, identity } = this.#options;
    const now = formatMicroTime(clock.now());
    const isOurs = old?.spec?.holderIdentity === identity;
    const transitions = old?.spec?.leaseTransitions ?? 0;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.round(this.#durationMs / 1_000)),
      acquireTime: (isOurs && old.spec?.acquireTime) || now,
      renewTime: now,
      leaseTransitions: isOurs || !old ? transitions : transitions + 1,
    };
  }

  /** Lets the next one start at once instead of after 15 s. */
  async #release(): Promise<void> {
    const lease = this.#seen?.lease;
    if (!lease || lease.spec?.holderIdentity !== this.#options.identity) return;
    const now = formatMicroTime(this.#options.clock.now());
    const spec = {
      ...lease.spec,
      holderIdentity: '',
      leaseDurationSeconds: 1,
      acquireTime: now,
      renewTime: now,
    };
    try {
      this.#see(await this.#leases.replace({ ...lease, spec }, { timeoutMs: callTimeoutMs }));
      this.#logger.info('released the Lease');
    } catch (error) {
      this.#logger.warn('cannot release the Lease; it runs out by itself', { error });
    }
  }

  #setLeader(isLeader: boolean): void {
    this.#isLeader = isLeader;
    this.#show(isLeader);
    this.#logger.info(isLeader ? 'leading' : 'no longer leading');
  }
}

/** The holder's own promise counts, since its settings may differ from ours. */
function durationOf(lease: Lease, defaultMs: number): number {
  const seconds = lease.spec?.leaseDurationSeconds;
  return seconds === undefined ? defaultMs : seconds * 1_000;
}
