/**
 * The agent: keeps on disk what the region wants, has the platform brought to it, and reports what is there.
 *
 * Guarantees: works from disk while cut off; does nothing to what runs when the link returns and nothing
 * changed; removes on an explicit order only. Only the member that its driver says leads acts and reports;
 * the others keep everything warm, load balancer included. The load balancer is told of plans only once
 * they are known to be all, so that a lost file never withdraws what serves.
 */
import type { Duplex } from 'node:stream';
import type { Plan, Removal, SiteOrphan } from '@cloudlet/crds';
import type { Driver } from '@cloudlet/drivers';
import type {
  Have,
  PlanHead,
  SessionRequest,
  TunnelClient,
  TunnelHandler,
  WelcomeInfo,
} from '@cloudlet/tunnel/agent';
import { describeError, type Logger, type Random, TerminalError } from '@cloudlet/runtime/base';
import type { LanesOptions } from './reconcile/lanes.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { instanceContent } from './report/instance-report.ts';
import { Reporter } from './report/reporter.ts';
import { orphansOf, siteContent } from './report/site-report.ts';
import { Timings } from './report/timings.ts';
import type { Sessions } from './sessions.ts';
import type { SiteClock } from './site-clock.ts';
import type { Store } from './store/index.ts';

export interface AgentOptions {
  readonly driver: Driver;
  readonly store: Store;
  readonly clock: SiteClock;
  readonly logger: Logger;
  readonly sessions: Sessions;
  readonly boot: string;
  readonly agentVersion: string;
  readonly features: readonly string[];
  readonly random?: Random;
  readonly onCall?: LanesOptions['onCall'];
  /** Writes to the state folder and takes it back. Absent: what cannot be written is found with what has to be. */
  readonly probe?: () => Promise<void>;
}

/** The part of the tunnel that the agent calls. */
export type Uplink = Pick<TunnelClient, 'report' | 'reportSite' | 'setActive'>;

/** Often enough for certificates of a month, seldom enough for a phone's flash. */
const keepTimeMs = 600_000;

/** Removing a load balancer, which lets its connections end. */
const leaveMs = 25_000;

/** A state folder that cannot be written is tried again after so long. */
const rewriteMs = 10_000;

export class Agent implements TunnelHandler {
  readonly #options: AgentOptions;
  readonly #reconciler: Reconciler;
  readonly #reporter: Reporter;
  readonly #timings: Timings;
  #uplink: Uplink | undefined;
  #isActive = false;
  /** Whether the plans in hand are all that the region wants. */
  #isComplete: boolean;
  /** Why the state folder could not be written, until it can be again. */
  #storeFailure: string | undefined;
  /** The same, of the probe alone. */
  #probeFailure: string | undefined;
  /** Changes of the desired state that could not be written yet, by instance. */
  readonly #unwritten = new Map<string, () => Promise<void>>();
  /** The region's clock minus the machine's, in milliseconds. */
  #skewMs = 0;
  /** Whether the region told its time in this life. */
  #isTimeKnown = false;

  constructor(options: AgentOptions) {
    const { store, clock, logger, boot } = options;
    this.#options = options;
    this.#timings = new Timings(clock);
    this.#isComplete = store.desired.intact && store.site.value.complete;
    this.#reporter = new Reporter({
      boot,
      clock,
      logger,
      transitions: store.transitions,
      send: (report) => this.#uplink?.report(report, this.#timings.take(report.id)),
      sendSite: (report) => this.#uplink?.reportSite(report),
    });
    this.#reconciler = new Reconciler({
      ...options,
      onCall: (verb, outcome, ms, id) => {
        options.onCall?.(verb, outcome, ms, id);
        this.#timings.applied(id, outcome, ms);
      },
      onInstance: (id) => this.#report(id),
      onSite: () => this.#siteChanged(),
      onOrphanGone: (id) => this.#gone(id),
    });
  }

  /** Gives the agent its end of the tunnel. */
  attach(uplink: Uplink): void {
    this.#uplink = uplink;
    uplink.setActive(this.#isActive);
  }

  /** Runs until the signal aborts, then lets calls under way end. */
  async run(signal: AbortSignal): Promise<void> {
    this.#publish();
    const beside = [this.#keepTime(signal), this.#watchFolder(signal)];
    await Promise.all([this.#reconciler.run(signal), ...beside]);
    if (this.#isTimeKnown) this.#background('time', this.#saveTime());
  }

  /** The next life starts not before the last time that was known to be right. */
  async #keepTime(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(keepTimeMs, signal).catch(() => undefined); // the loop sees the abort
      if (this.#isTimeKnown && !signal.aborted) this.#background('time', this.#saveTime());
    }
  }

  /** A folder that cannot be written is told before a plan comes that needs it. */
  async #watchFolder(signal: AbortSignal): Promise<void> {
    const { clock, probe } = this.#options;
    while (probe && !signal.aborted) {
      const failure = await probe().then(() => undefined, describeError);
      this.#probeFailure = failure;
      this.#setStoreFailure(this.#unwritten.size > 0 ? this.#storeFailure : failure);
      const againMs = failure === undefined ? keepTimeMs : rewriteMs;
      await clock.sleep(againMs, signal).catch(() => undefined); // the loop sees the abort
    }
  }

  #saveTime(): Promise<void> {
    const { clock, store } = this.#options;
    return store.site.update({ lastGoodTime: clock.now() });
  }

  /** What keeps the site from working, for the health check; the link may be down. */
  problems(): readonly string[] {
    const { site, failure } = this.#reconciler;
    return [
      ...(failure === undefined ? [] : [`the platform: ${failure}`]),
      ...(site || failure !== undefined ? [] : ['the platform has not been seen yet']),
      ...(this.#storeFailure === undefined ? [] : [`the state folder: ${this.#storeFailure}`]),
    ];
  }

  /** For health and metrics. */
  get state(): AgentState {
    const { records } = this.#options.store.desired;
    const lanes = [...records.keys()].map((id) => this.#reconciler.sight(id).lane.kind);
    return {
      active: this.#isActive,
      acts: this.#reconciler.acts,
      observing: this.#reconciler.site !== undefined && this.#reconciler.failure === undefined,
      instances: records.size,
      failed: lanes.filter((kind) => kind === 'Failed').length,
      calls: this.#reconciler.running,
      reports: this.#reporter.count,
      orphans: this.#orphans().length,
    };
  }

  // What the tunnel calls.

  have(): readonly Have[] {
    return this.#options.store.desired.have();
  }

  active(): boolean {
    return this.#isActive;
  }

  welcomed(info: WelcomeInfo): void {
    const { clock, store, logger } = this.#options;
    this.#skewMs = clock.correct(info.skewMs);
    this.#isTimeKnown = true;
    logger.info('connected', { hub: info.hub, skewMs: Math.round(this.#skewMs) });
    const record = { cloudletUid: info.cloudletUid, lastGoodTime: clock.now() };
    this.#background('site record', store.site.update(record));
    this.#siteChanged();
  }

  async plan(plan: Plan, hash: string, trace?: string): Promise<void> {
    const { store, logger, clock } = this.#options;
    const receivedAt = clock.now();
    await this.#write(plan.id, async () => {
      const verdict = await store.desired.putPlan(plan, hash);
      logger.info('a plan came', { instance: plan.id, sequence: plan.sequence, verdict });
      if (verdict === 'Stale') return this.#tellAgain(plan.id);
      this.#reconciler.trust();
      this.#publish();
      if (verdict !== 'Accepted') return this.#reconciler.look(plan.id);
      if (trace === undefined) this.#timings.drop(plan.id);
      else this.#timings.stored(plan.id, plan.sequence, receivedAt);
      this.#reconciler.planned(plan.id);
    });
  }

  async unreadable(head: PlanHead): Promise<void> {
    const { store, logger } = this.#options;
    const { id, sequence } = head;
    await this.#write(id, async () => {
      const verdict = await store.desired.putUnreadable(head);
      logger.warn('a plan came that only a newer agent can read', {
        instance: id,
        sequence,
        verdict,
      });
      if (verdict === 'Stale') return this.#tellAgain(id);
      this.#reconciler.trust();
      this.#publish();
      this.#reconciler.look(id);
    });
  }

  async remove(removal: Removal): Promise<void> {
    const { store, logger } = this.#options;
    const { id, sequence } = removal;
    await this.#write(id, async () => {
      const isNew = await store.desired.putRemoval(removal);
      const verdict = isNew ? 'Accepted' : 'Stale';
      logger.info('an order to remove came', { instance: id, sequence, verdict });
      if (!isNew) return this.#tellAgain(id);
      this.#timings.drop(id);
      this.#reconciler.trust();
      this.#publish();
      this.#reconciler.look(id);
    });
  }

  async forget(id: string): Promise<void> {
    const { store } = this.#options;
    // The member that acts removed it; where this one stands by it has the order alone.
    if (!store.desired.records.get(id)?.removal) return; // wanted again since
    this.#reconciler.drop(id);
    await store.desired.forget(id);
    await store.checkpoints.drop(id);
    this.#gone(id);
  }

  synced(orphans: readonly string[]): void {
    const { store } = this.#options;
    this.#isComplete = true;
    this.#reconciler.trust();
    this.#background('site record', store.site.update({ complete: true }));
    const marks = [...store.desired.records.keys()].map((id) =>
      store.desired.markOrphan(id, orphans.includes(id)),
    );
    this.#background(
      'orphans',
      Promise.all(marks).then(() => this.#reconciler.told()),
    );
    this.#publish();
  }

  deputize(acts: boolean): void {
    this.#reconciler.deputize(acts);
  }

  async leave(): Promise<void> {
    const { driver, store, logger } = this.#options;
    const kept = [...store.desired.records.values()].filter(({ removal }) => !removal);
    if (kept.length > 0)
      throw new TerminalError('InUse', `${kept.length} instances are still at the site`);
    await driver.leave?.(AbortSignal.timeout(leaveMs));
    logger.info('what the site had for itself is removed');
  }

  async session(request: SessionRequest, stream: Duplex, signal: AbortSignal): Promise<void> {
    await this.#options.sessions.serve(request, stream, signal);
  }

  disconnected(reason: string): void {
    this.#options.logger.info('disconnected; what runs goes on', { reason });
    // Who cannot be told that the leader's agent is back must not act beside it.
    this.#reconciler.deputize(false);
  }

  // What follows from it.

  #publish(): void {
    const { driver, store } = this.#options;
    if (this.#isComplete) driver.publish?.(store.desired.plans());
  }

  #gone(id: string): void {
    this.#timings.drop(id);
    this.#reporter.forget(id);
    this.#publish();
    this.#siteChanged();
  }

  #report(id: string): void {
    const { store, agentVersion } = this.#options;
    const record = store.desired.records.get(id);
    if (!record || record.orphan || !this.#reconciler.site) return;
    const sight = this.#reconciler.sight(id);
    const { observed } = sight;
    if (observed?.sequence !== undefined && observed.deployed.status === 'True')
      this.#timings.running(id, observed.sequence);
    this.#reporter.offer(instanceContent({ record, agentVersion, ...sight }));
  }

  /** The region is behind, as after a restore: it gave an order that is older than what the site has. */
  #tellAgain(id: string): void {
    this.#reporter.repeat(id);
    this.#report(id);
  }

  #siteChanged(): void {
    const { active, site, failure } = this.#reconciler;
    if (active !== this.#isActive) {
      this.#isActive = active;
      this.#uplink?.setActive(active);
    }
    this.#reporter.setActive(active);
    const uid = this.#options.store.site.value.cloudletUid;
    if (uid === undefined) return; // never connected: there is no object to report of
    // What has not been seen yet is no news: another member may act, and has said what it saw.
    if (this.#reconciler.isBlind && this.#storeFailure === undefined) return;
    const { agentVersion, features } = this.#options;
    this.#reporter.offerSite(
      siteContent({
        uid,
        agentVersion,
        features,
        observed: site,
        failure,
        storeFailure: this.#storeFailure,
        skewMs: this.#skewMs,
        orphans: this.#orphans(),
      }),
    );
  }

  #orphans(): readonly SiteOrphan[] {
    if (!this.#isComplete) return [];
    return orphansOf(this.#reconciler.instances.values(), this.#options.store.desired.records);
  }

  /**
   * Writes a change of the desired state. One that cannot be written (a full disk) is told in the site's
   * report and tried again until it is, or until a later one of the same instance took its place.
   */
  async #write(id: string, write: () => Promise<void>): Promise<void> {
    this.#unwritten.delete(id);
    try {
      await write();
      this.#probeFailure = undefined;
    } catch (error) {
      if (this.#unwritten.size === 0) this.#options.clock.after(rewriteMs, () => this.#rewrite());
      this.#unwritten.set(id, write);
      this.#setStoreFailure(describeError(error));
    }
    if (this.#unwritten.size === 0) this.#setStoreFailure(this.#probeFailure);
  }

  #rewrite(): void {
    const writes = [...this.#unwritten];
    this.#unwritten.clear();
    for (const [id, write] of writes) this.#background('desired state', this.#write(id, write));
  }

  #setStoreFailure(failure: string | undefined): void {
    if (this.#storeFailure === failure) return;
    this.#storeFailure = failure;
    if (failure !== undefined)
      this.#options.logger.error('cannot write the desired state', { error: failure });
    this.#siteChanged();
  }

  #background(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) =>
      this.#options.logger.error('cannot write the state', { what, error: describeError(error) }),
    );
  }
}

export interface AgentState {
  readonly active: boolean;
  readonly acts: boolean;
  readonly observing: boolean;
  readonly instances: number;
  readonly failed: number;
  readonly calls: number;
  readonly reports: number;
  readonly orphans: number;
}
