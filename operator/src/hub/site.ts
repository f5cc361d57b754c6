/**
 * One site at this replica: its connected members, which of them acts, and the streams that keep them told.
 *
 * Guarantees: the member that claimed the site last acts; only its reports are passed on and only it renews
 * the Lease; when none has acted for 5 s one of the others is asked to deputize, which gives way to any that
 * acts by its own right; the Lease is released soon after no member acts any more, at once when the hub shuts
 * down.
 */
import { type Clock, limitedLogger, type Logger, type Timer } from '@cloudlet/runtime/base';
import type { SiteLink } from '@cloudlet/tunnel';
import type { SiteStream } from './stream.ts';

export interface SiteOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The acting member changed, or has shown that it lives. */
  readonly onActing: (
    link: SiteLink,
    knownFingerprint: (boot: string) => string | undefined,
  ) => void;
  readonly onStoodDown: (boot: string) => void;
  /** No member acts, for longer than a take-over takes. */
  readonly onLost: (boot: string) => void;
  /** The last member went. */
  readonly onEmpty: () => void;
  /** The boot that holds the site's Lease by right, at this replica or another one. */
  readonly holder: () => string | undefined;
}

/** An agent that restarts or redials is back before this. */
const redialGraceMs = 4_000;
/** A little later, a member that is there is asked to act; one that does not is passed over as soon. */
const deputyMs = 5_000;
/** Another member that is connected takes over before this. */
const takeoverGraceMs = 20_000;

export class Site {
  /** For what the site does wrong, as often as it does it. */
  readonly mistakes: Logger;
  readonly #options: SiteOptions;
  readonly #members = new Map<SiteLink, SiteStream>();
  #acting: SiteLink | undefined;
  #deputy: SiteLink | undefined;
  /** Members that were asked to deputize and did not, in this vacancy. */
  readonly #passedOver = new Set<SiteLink>();
  #lastBoot: string | undefined;
  #lostTimer: Timer | undefined;
  #deputyTimer: Timer | undefined;

  constructor(options: SiteOptions) {
    this.#options = options;
    this.mistakes = limitedLogger(options.logger, options.clock);
  }

  get name(): string {
    return this.#options.name;
  }
  get links(): readonly SiteLink[] {
    return [...this.#members.keys()];
  }
  get acting(): SiteLink | undefined {
    return this.#acting;
  }

  add(link: SiteLink, stream: SiteStream): void {
    this.#members.set(link, stream);
    link.closed.addEventListener('abort', () => this.#remove(link), { once: true });
    if (link.closed.aborted) this.#remove(link);
    else if (link.active) this.#claim(link);
    else if (!this.#acting) {
      // An agent that was started again is here, and acts when it has seen its platform.
      if (this.#lastBoot !== undefined) this.#awaitTakeover(takeoverGraceMs);
      this.#awaitDeputy();
    }
  }

  touch(id: string): void {
    for (const stream of this.#members.values()) stream.touch(id);
  }

  stream(link: SiteLink): SiteStream | undefined {
    return this.#members.get(link);
  }

  roleChanged(link: SiteLink): void {
    if (!this.#members.has(link)) return;
    if (link.active) this.#claim(link);
    else if (this.#acting === link) {
      this.#options.onStoodDown(link.hello.boot);
      this.#actingGone();
    }
  }

  /** A member lives. One that says it acts claims the site again: two that do so contest it. */
  alive(link: SiteLink): void {
    if (this.#members.has(link) && link.active) this.#claim(link);
  }

  #claim(link: SiteLink): void {
    const { boot, member } = link.hello;
    if (link === this.#deputy && this.#isHeldElsewhere()) return this.#relieve();
    if (this.#deputy && link !== this.#deputy) this.#relieve();
    if (this.#acting !== link)
      this.#options.logger.info(
        `a member acts for its site${link === this.#deputy ? ' as deputy' : ''}`,
        { cloudlet: this.name, member, boot },
      );
    // The link of the one before has ended: that its Lease is taken is no contest.
    const before = this.#lastBoot;
    const isThere = this.links.some(({ hello }) => hello.boot === before);
    if (before !== undefined && before !== boot && !isThere) this.#options.onStoodDown(before);
    this.#acting = link;
    this.#lastBoot = boot;
    this.#lostTimer?.cancel();
    this.#deputyTimer?.cancel();
    this.#passedOver.clear();
    this.#options.onActing(link, (known) => this.#fingerprintOf(known));
  }

  #fingerprintOf(boot: string): string | undefined {
    return this.links.find((link) => link.hello.boot === boot)?.identity.fingerprint;
  }

  #remove(link: SiteLink): void {
    if (!this.#members.delete(link)) return;
    this.#passedOver.delete(link);
    if (this.#deputy === link) this.#deputy = undefined;
    if (this.#acting === link) this.#actingGone();
    if (this.#members.size > 0) return;
    this.#deputyTimer?.cancel();
    if (!this.#lostTimer) this.#options.onEmpty();
  }

  #actingGone(): void {
    this.#acting = undefined;
    const next = this.links.find((link) => link.active);
    if (next) {
      this.#claim(next);
      return;
    }
    this.#awaitTakeover(this.#members.size > 0 ? takeoverGraceMs : redialGraceMs);
    this.#awaitDeputy();
  }

  #awaitTakeover(graceMs: number): void {
    this.#lostTimer?.cancel();
    this.#lostTimer = this.#options.clock.after(graceMs, () => this.lose());
  }

  #awaitDeputy(): void {
    this.#deputyTimer?.cancel();
    this.#deputyTimer = this.#options.clock.after(deputyMs, () => this.#deputize());
  }

  /** Nobody acts: the next member in turn is asked to, unless another replica knows one that does. */
  #deputize(): void {
    if (this.#acting || this.#members.size === 0) return;
    if (this.#deputy) {
      this.#passedOver.add(this.#deputy);
      this.#relieve();
    }
    if (!this.#isHeldElsewhere()) {
      const members = this.links.filter(({ closed }) => !closed.aborted);
      if (members.every((link) => this.#passedOver.has(link))) this.#passedOver.clear();
      this.#deputy = members.find((link) => !this.#passedOver.has(link));
      this.#deputy?.deputize(true);
    }
    this.#awaitDeputy();
  }

  /** The deputy gives way, which is no contest. */
  #relieve(): void {
    const deputy = this.#deputy;
    this.#deputy = undefined;
    deputy?.deputize(false);
    if (!deputy || this.#acting !== deputy) return;
    this.#options.onStoodDown(deputy.hello.boot);
    this.#acting = undefined;
  }

  #isHeldElsewhere(): boolean {
    const holder = this.#options.holder();
    if (holder === undefined || holder === this.#lastBoot) return false;
    return !this.links.some(({ hello }) => hello.boot === holder);
  }

  /** Gives the Lease back now. */
  lose(): void {
    this.#lostTimer?.cancel();
    this.#lostTimer = undefined;
    const boot = this.#lastBoot;
    this.#lastBoot = undefined;
    this.#acting = undefined;
    if (boot !== undefined) this.#options.onLost(boot);
    if (this.#members.size === 0) this.#options.onEmpty();
  }
}
