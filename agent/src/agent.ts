/**
 * The agent: keeps on disk what the region wants, has the platform brought to it, and reports what is there.
 *
 * Guarantees: works from disk while cut off; does nothing to what runs when the link returns and nothing
 * changed; removes on an explicit order only. Only the member that its driver says leads acts and reports;
 * the others keep everything warm, load balancer included. The load balancer is told of plans only once
 * they are known to be all, so that a lost file never withdraws what serves.
 */
import type { Duplex } from 'node:stream';
import type { Plan, Removal } from '@cloudlet/crds';
import type { Driver } from '@cloudlet/drivers';
import type {
  Have,
  SessionRequest,
  TunnelClient,
  TunnelHandler,
  WelcomeInfo,
} from '@cloudlet/tunnel';
import { describeError, type Logger, type Random } from '@cloudlet/runtime/base';
import type { LanesOptions } from './reconcile/lanes.ts';
import { Reconciler } from './reconcile/reconciler.ts';
import { instanceContent } from './report/instance-report.ts';
import { Reporter } from './report/reporter.ts';
import { siteContent } from './report/site-report.ts';
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
}

/** The part of the tunnel that the agent calls. */
export type Uplink = Pick<TunnelClient, 'report' | 'reportSite' | 'setActive'>;

export class Agent implements TunnelHandler {
  readonly #options: AgentOptions;
  readonly #reconciler: Reconciler;
  readonly #reporter: Reporter;
  #uplink: Uplink | undefined;
  #isActive: boolean;
  /** Whether the plans in hand are all that the region wants. */
  #isComplete: boolean;
  /** Why the state folder could not be written, until it can be again. */
  #storeFailure: string | undefined;
  #skewMs = 0;

  constructor(options: AgentOptions) {
    const { store, clock, logger, boot } = options;
    this.#options = options;
    this.#isActive = store.site.value.active;
    this.#isComplete = store.desired.intact && store.site.value.complete;
    this.#reporter = new Reporter({
      boot,
      clock,
      logger,
      transitions: store.transitions,
      send: (report) => this.#uplink?.report(report),
      sendSite: (report) => this.#uplink?.reportSite(report),
    });
    this.#reconciler = new Reconciler({
      ...options,
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
    await this.#reconciler.run(signal);
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
    logger.info('connected', { hub: info.hub, skewMs: Math.round(info.skewMs) });
    this.#skewMs = info.skewMs;
    clock.correct(info.skewMs);
    const record = { cloudletUid: info.cloudletUid, lastGoodTime: clock.now() };
    this.#background('site record', store.site.update(record));
    this.#siteChanged();
  }

  async plan(plan: Plan, hash: string): Promise<void> {
    const { store, logger } = this.#options;
    const verdict = await this.#written(store.desired.putPlan(plan, hash));
    logger.info('a plan came', { instance: plan.id, sequence: plan.sequence, verdict });
    if (verdict === 'Stale') return;
    this.#reconciler.trust();
    this.#publish();
    if (verdict === 'Accepted') this.#reconciler.planned(plan.id);
    else this.#reconciler.look(plan.id);
  }

  async remove(removal: Removal): Promise<void> {
    const { store, logger } = this.#options;
    const isNew = await this.#written(store.desired.putRemoval(removal));
    const verdict = isNew ? 'Accepted' : 'Stale';
    logger.info('an order to remove came', {
      instance: removal.id,
      sequence: removal.sequence,
      verdict,
    });
    if (!isNew) return;
    this.#reconciler.trust();
    this.#publish();
    this.#reconciler.look(removal.id);
  }

  async forget(id: string): Promise<void> {
    const { store } = this.#options;
    if (!store.desired.records.get(id)?.removed) return; // wanted again since
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
      Promise.all(marks).then(() => this.#reconciler.lookAtAll()),
    );
    this.#publish();
  }

  async session(request: SessionRequest, stream: Duplex, signal: AbortSignal): Promise<void> {
    await this.#options.sessions.serve(request, stream, signal);
  }

  disconnected(reason: string): void {
    this.#options.logger.info('disconnected; what runs goes on', { reason });
  }

  // What follows from it.

  #publish(): void {
    const { driver, store } = this.#options;
    if (this.#isComplete) driver.publish?.(store.desired.plans());
  }

  #gone(id: string): void {
    this.#reporter.forget(id);
    this.#publish();
    this.#siteChanged();
  }

  #report(id: string): void {
    const { store, agentVersion } = this.#options;
    const record = store.desired.records.get(id);
    if (!record || record.orphan || !this.#reconciler.site) return;
    this.#reporter.offer(instanceContent({ record, agentVersion, ...this.#reconciler.sight(id) }));
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

  #orphans(): readonly { readonly id: string; readonly name: string }[] {
    if (!this.#isComplete) return [];
    const { records } = this.#options.store.desired;
    return [...this.#reconciler.instances.values()]
      .filter(({ id }) => records.get(id)?.orphan ?? !records.has(id))
      .map(({ id, name }) => ({ id, name: name.slice(0, 253) }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Waits for a change of the desired state; one that cannot be written is told in the site's report. */
  async #written<T>(write: Promise<T>): Promise<T> {
    try {
      const result = await write;
      this.#setStoreFailure(undefined);
      return result;
    } catch (error) {
      this.#setStoreFailure(describeError(error));
      throw error;
    }
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
