/**
 * Brings the platform to what the store wants.
 *
 * Guarantees: level-triggered: a plan, an observation, the end of a call and the time each lead to one look
 * at the instance, and the look decides from what is known then (decide.ts). Nothing is done before the first
 * snapshot, by a member that does not lead, or from a store that lost something and was not told anew; nothing
 * is begun from a disk that may be behind while the region may still say so.
 */
import type { Plan } from '@cloudlet/crds';
import type { Driver, InstanceObservation, SiteObservation } from '@cloudlet/drivers';
import { type Clock, describeError, type Logger, type Random } from '@cloudlet/runtime/base';
import type { InstanceRecord, Store } from '../store/index.ts';
import { decide } from './decide.ts';
import { Lanes, type LanesOptions, type LaneState } from './lanes.ts';
import { Observer } from './observer.ts';
import { isSeen, type Role, roleOf } from './role.ts';

export interface ReconcilerOptions {
  readonly driver: Driver;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random;
  readonly onCall?: LanesOptions['onCall'];
  /** What is known of this instance changed. */
  readonly onInstance: (id: string) => void;
  /** The site, the role or the set of orphans changed. */
  readonly onSite: () => void;
  /** An orphan is gone from the site and was forgotten. */
  readonly onOrphanGone: (id: string) => void;
}

/** What is known of one instance besides its record. */
export interface InstanceSight {
  readonly observed: InstanceObservation | undefined;
  readonly lane: LaneState;
  readonly held: Role['held'];
  readonly stale: string | undefined;
}

/** A little longer than `decide` waits before it believes that an instance is gone. */
const goneAgainMs = 1_100;
/** A platform that is silent for longer is not this member's to speak for: engines restart faster. */
const blindMs = 15_000;
/** A link takes seconds; after so long without one the site is cut off and goes by its disk. */
const aloneMs = 10_000;
/** A member that reports as the last resort gives the others another chance after so long. */
const lastResortMs = 300_000;
/** Everything is looked at again after so long, whatever happened or did not. */
const sweepMs = 60_000;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #lanes: Lanes;
  readonly #observer: Observer;
  readonly #startedAt: number;
  #role: Role;
  /** It acted in its last life, and has not seen its platform in this one. */
  #actedBefore: boolean;
  /** The region asked this member to act though another one leads. */
  #isDeputy = false;
  /** Since when the platform does not answer; monotonic. */
  #unseenSince: number | undefined;
  /** Times that the region asked to deputize while it did not. */
  #asked = 0;
  #lastResortSince = 0;
  /** Whether the store may be acted from. */
  #isTrusted: boolean;
  /** The region has told in this life all that it wants. */
  #isTold = false;
  /** Instances whose plan came anew and has not been begun. */
  readonly #fresh = new Set<string>();

  constructor(options: ReconcilerOptions) {
    const { driver, store, clock, logger, random, onCall } = options;
    this.#options = options;
    this.#startedAt = clock.monotonic();
    this.#isTrusted = store.desired.intact;
    // Until it has seen its platform it claims nothing: another member may act by now.
    this.#role = { active: false, acts: false };
    this.#actedBefore = store.site.value.active;
    this.#unseenSince = this.#startedAt - blindMs;
    const shared = { driver, clock, logger, ...(random ? { random } : {}) };
    this.#lanes = new Lanes({
      ...shared,
      ...(onCall ? { onCall } : {}),
      checkpoints: store.checkpoints,
      onChange: (id) => this.#laneChanged(id),
    });
    this.#observer = new Observer({ ...shared, onChange: (change) => this.#observed(change) });
  }

  get active(): boolean {
    return this.#role.active;
  }

  get acts(): boolean {
    return this.#role.acts && this.#isTrusted;
  }

  /** The site as last seen; undefined until the first snapshot. */
  get site(): SiteObservation | undefined {
    return this.#observer.site;
  }

  /** Whether it is too early to say anything of the platform: not seen yet in this life. */
  get isBlind(): boolean {
    return !this.#observer.site && !this.#observer.stale;
  }

  /** Why the platform cannot be observed now. */
  get failure(): string | undefined {
    return this.#observer.failure;
  }

  get instances(): ReadonlyMap<string, InstanceObservation> {
    return this.#observer.instances;
  }

  /** Driver calls under way. */
  get running(): number {
    return this.#lanes.running;
  }

  sight(id: string): InstanceSight {
    return {
      observed: this.#observer.instances.get(id),
      lane: this.#lanes.stateOf(id),
      held: this.#role.held,
      stale: this.#observer.stale ? this.#observer.failure : undefined,
    };
  }

  /** Runs until the signal aborts, then lets calls under way end. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#observer.run(signal), this.#sweep(signal), this.#goAlone(signal)]);
    await this.#lanes.stop();
  }

  async #goAlone(signal: AbortSignal): Promise<void> {
    await this.#options.clock.sleep(aloneMs, signal).catch(() => undefined); // the next line sees the abort
    if (!signal.aborted && !this.#isTold) this.lookAtAll();
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(sweepMs, signal).catch(() => undefined); // the loop sees the abort
      if (signal.aborted) return;
      const isOver = this.#monotonic - this.#lastResortSince > lastResortMs;
      if (this.#isLastResort && isOver) this.#letGo();
      this.lookAtAll();
    }
  }

  get #monotonic(): number {
    return this.#options.clock.monotonic();
  }

  get #isBlind(): boolean {
    return this.#unseenSince !== undefined && this.#monotonic - this.#unseenSince >= blindMs;
  }

  /** The region comes to ask again only when no other member acts. */
  get #isLastResort(): boolean {
    return this.#isDeputy && this.#asked > 1;
  }

  /** Another member that came meanwhile may see the platform. */
  #letGo(): void {
    this.#asked = 0;
    this.#takeRole();
  }

  /** Notes whether the platform answers, and looks again when its silence counts. */
  #watchSight(): void {
    const { site, failure } = this.#observer;
    if (isSeen(site) && failure === undefined) {
      this.#unseenSince = undefined;
      this.#asked = 0;
    } else if (this.#unseenSince === undefined) {
      this.#unseenSince = this.#monotonic;
      this.#options.clock.after(blindMs, () => this.#takeRole());
    }
  }

  /** The region spoke: from now on the store is acted from, whatever it lost. */
  trust(): void {
    this.#isTrusted = true;
  }

  /** The region told all that it wants, and what it did not name is marked as an orphan. */
  told(): void {
    this.#isTold = true;
    this.lookAtAll();
  }

  /** The region asks this member to act though another one leads, or no longer. */
  deputize(acts: boolean): void {
    if (this.#isDeputy === acts) return;
    if (!acts && this.#role.active) this.#asked = 0; // somebody else took over
    this.#isDeputy = acts;
    if (acts && this.#isBlind) this.#asked++;
    this.#lastResortSince = this.#monotonic;
    this.#options.logger.info(acts ? 'the region asks to deputize' : 'no longer a deputy');
    // Another one acts after it: what it did as deputy gives it no claim.
    this.#takeRole(acts && this.#role.active);
  }

  /** A plan came that was not here before. */
  planned(id: string): void {
    this.#fresh.add(id);
    this.look(id);
  }

  /** Ends all work on an instance. */
  drop(id: string): void {
    this.#fresh.delete(id);
    this.#lanes.cancel(id);
  }

  lookAtAll(): void {
    for (const id of this.#options.store.desired.records.keys()) this.look(id);
    this.#options.onSite();
  }

  /** Decides about one instance. */
  look(id: string): void {
    const record = this.#options.store.desired.records.get(id);
    if (!record) return;
    if (record.orphan && this.#isGone(id)) {
      this.#background('orphan', this.#forgetOrphan(id));
      return;
    }
    if (this.acts && this.#observer.site) this.#act(record);
    this.#options.onInstance(id);
  }

  #isGone(id: string): boolean {
    const { site, failure, instances } = this.#observer;
    return site !== undefined && failure === undefined && !instances.has(id);
  }

  #act(record: InstanceRecord): void {
    const { id } = record;
    const decision = decide({
      record,
      observed: this.#observer.instances.get(id),
      lane: this.#lanes.stateOf(id),
      work: this.#lanes.workOf(id),
      fresh: this.#fresh.has(id),
      informed: this.#isTold || this.#monotonic - this.#startedAt >= aloneMs,
      startedAt: this.#startedAt,
      now: this.#options.clock.monotonic(),
    });
    switch (decision.kind) {
      case 'Begin':
        this.#fresh.delete(id);
        this.#lanes.submit(id, decision.work);
        break;
      case 'Again':
        this.#lanes.again(id);
        break;
      case 'LeaveAlone':
        this.#lanes.cancel(id);
        break;
      case 'Nothing':
        break;
    }
  }

  #observed(change: { readonly ids: readonly string[]; readonly site: boolean }): void {
    if (change.site) {
      this.#watchSight();
      this.#takeRole();
    }
    for (const id of change.ids) {
      this.look(id);
      // What went right after it was made is believed only a moment later; nothing else would tell again.
      if (this.#isGone(id)) this.#options.clock.after(goneAgainMs, () => this.look(id));
    }
    if (change.site) this.#options.onSite();
  }

  #takeRole(wasActive = this.#role.active || this.#actedBefore): void {
    const { store, logger } = this.#options;
    const before = this.#role;
    const now = roleOf(this.#observer.site, {
      wasActive,
      isDeputy: this.#isDeputy,
      isBlind: this.#isBlind,
      isLastResort: this.#isLastResort,
    });
    this.#role = now;
    if (this.#unseenSince === undefined) this.#actedBefore = false;
    if (before.active !== now.active) {
      logger.info(now.active ? 'this member acts for the site' : 'this member stands by');
      this.#background('role', store.site.update({ active: now.active && !this.#isDeputy }));
    }
    if (now.acts) this.#lanes.resume();
    else this.#lanes.pause();
    this.#options.onSite(); // before the instances: reports are sent by an active member only
    const isOther =
      before.active !== now.active ||
      before.acts !== now.acts ||
      before.held?.message !== now.held?.message;
    if (isOther) this.lookAtAll();
  }

  #laneChanged(id: string): void {
    const record = this.#options.store.desired.records.get(id);
    const isDone = this.#lanes.stateOf(id).kind === 'Done';
    const work = this.#lanes.workOf(id);
    if (isDone && work?.kind === 'Remove' && record?.removal && !record.removed)
      this.#background('removal', this.#noteRemoved(id, record.removal.sequence));
    else if (isDone && work?.kind === 'Ensure' && record?.displaces)
      this.#background('plan', this.#noteCarriedOut(id, work.plan));
    else this.#options.onInstance(id);
  }

  async #noteRemoved(id: string, sequence: number): Promise<void> {
    await this.#options.store.desired.markRemoved(id, sequence);
    this.look(id);
  }

  async #noteCarriedOut(id: string, plan: Plan): Promise<void> {
    await this.#options.store.desired.markCarriedOut(id, plan);
    this.look(id);
  }

  /** Nobody wants it and somebody removed it by hand. */
  async #forgetOrphan(id: string): Promise<void> {
    this.#options.logger.info('an orphan is gone', { instance: id });
    await this.#options.store.desired.forget(id);
    this.#options.onOrphanGone(id);
  }

  #background(what: string, work: Promise<unknown>): void {
    work.catch((error: unknown) =>
      this.#options.logger.error('cannot write the state', { what, error: describeError(error) }),
    );
  }
}
