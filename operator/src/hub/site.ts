/**
 * One site at this replica: its connected members, which of them acts, and the streams that keep them told.
 *
 * Guarantees: the member that claimed the site last acts; only its reports are passed on and only it renews
 * the Lease; the Lease is released soon after no member acts any more, at once when the hub shuts down.
 */
import type { Clock, Logger, Timer } from '@cloudlet/runtime/base';
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
}

/** An agent that restarts or redials is back before this. */
const redialGraceMs = 4_000;
/** Another member that is connected takes over before this. */
const takeoverGraceMs = 20_000;

export class Site {
  readonly #options: SiteOptions;
  readonly #members = new Map<SiteLink, SiteStream>();
  #acting: SiteLink | undefined;
  #lastBoot: string | undefined;
  #lostTimer: Timer | undefined;

  constructor(options: SiteOptions) {
    this.#options = options;
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
    if (this.#acting !== link)
      this.#options.logger.info('a member acts for its site', {
        cloudlet: this.name,
        member: link.hello.member,
        boot: link.hello.boot,
      });
    this.#acting = link;
    this.#lastBoot = link.hello.boot;
    this.#lostTimer?.cancel();
    this.#options.onActing(link, (boot) => this.#fingerprintOf(boot));
  }

  #fingerprintOf(boot: string): string | undefined {
    return this.links.find((link) => link.hello.boot === boot)?.identity.fingerprint;
  }

  #remove(link: SiteLink): void {
    if (!this.#members.delete(link)) return;
    if (this.#acting === link) this.#actingGone();
    if (this.#members.size === 0 && !this.#lostTimer) this.#options.onEmpty();
  }

  #actingGone(): void {
    this.#acting = undefined;
    const next = this.links.find((link) => link.active);
    if (next) {
      this.#claim(next);
      return;
    }
    this.#lostTimer?.cancel();
    const graceMs = this.#members.size > 0 ? takeoverGraceMs : redialGraceMs;
    this.#lostTimer = this.#options.clock.after(graceMs, () => this.lose());
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
