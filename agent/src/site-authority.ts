/**
 * The authority of this agent for the connections inside its site, kept in the state folder: its own key and
 * certificate, and those that the agent shows to the nodes' helpers.
 *
 * Guarantees: keys are made here, are readable by their owner alone and never leave the machine, but for a
 * node's, which is kept nowhere and goes to whoever asked for it; the agent's certificate is made anew while
 * a third of its life is left, the authority itself in its last year. What makes certificates is loaded only
 * when one is made, since a phone has little memory.
 */
import { randomUUID, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import type { SiteAuthority } from '@cloudlet/drivers/docker-swarm';
import { type Clock, type Logger, Secret } from '@cloudlet/runtime/base';
import { type Disk, Documents, systemDisk } from './store/index.ts';

export interface SiteAuthorityOptions {
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly disk?: Disk;
}

const pair = z.object({ certificatePem: z.string(), keyPem: z.string() });
type Pair = z.infer<typeof pair>;
type Name = 'authority' | 'agent';

const dayMs = 86_400_000;
const lastYearMs = 365 * dayMs;
/** Each renewal of a node's restarts the helpers. */
const days = { authority: 3650, agent: 90, node: 180 } as const;

export class FileSiteAuthority implements SiteAuthority {
  readonly #options: SiteAuthorityOptions;
  readonly #documents: Documents;
  readonly #pairs = new Map<string, Pair>();
  #opened: Promise<void> | undefined;
  /** Makes one pair at a time, so that two callers get the same. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SiteAuthorityOptions) {
    this.#options = options;
    const { folder, disk = systemDisk, logger } = options;
    this.#documents = new Documents(folder, disk, logger);
  }

  async certificate(): Promise<string> {
    return (await this.#inTurn(() => this.#authority())).certificatePem;
  }

  async agent(): Promise<{ readonly key: string; readonly cert: string }> {
    const { keyPem: key, certificatePem: cert } = await this.#inTurn(() => this.#agent());
    return { key, cert };
  }

  async issueNode(): Promise<{
    readonly key: Secret;
    readonly cert: string;
    readonly notAfter: Date;
  }> {
    const { keyPem, certificatePem, notAfter } = await this.#inTurn(() => this.#issue('node'));
    return { key: keyPem, cert: certificatePem, notAfter };
  }

  async #authority(): Promise<Pair> {
    const { clock } = this.#options;
    const present = this.#pairs.get('authority');
    if (present && leftOf(present, clock.now()) > lastYearMs) return present;
    const { createAuthority } = await import('@cloudlet/tunnel/identity');
    // A name of its own for each, so that a verifier never takes one for another.
    const commonName = `edge:site:${randomUUID()}`;
    const made = await createAuthority({ now: clock.now(), days: days.authority, commonName });
    return this.#keep('authority', made);
  }

  async #agent(): Promise<Pair> {
    const present = this.#pairs.get('agent');
    const authority = await this.#authority();
    if (present && this.#isGood(present, authority)) return present;
    return this.#keep('agent', await this.#issue('agent'));
  }

  #isGood(present: Pair, authority: Pair): boolean {
    const issuer = new X509Certificate(authority.certificatePem);
    const isOurs = new X509Certificate(present.certificatePem).verify(issuer.publicKey);
    return isOurs && leftOf(present, this.#options.clock.now()) > (days.agent * dayMs) / 3;
  }

  async #issue(role: 'agent' | 'node') {
    const { certificatePem, keyPem } = await this.#authority();
    const { issueSite, loadAuthority } = await import('@cloudlet/tunnel/identity');
    const authority = await loadAuthority({ certificatePem, keyPem: new Secret(keyPem) });
    return issueSite(authority, { role, days: days[role], now: this.#options.clock.now() });
  }

  async #keep(
    name: Name,
    made: { readonly certificatePem: string; readonly keyPem: Secret },
  ): Promise<Pair> {
    const kept = { certificatePem: made.certificatePem, keyPem: made.keyPem.reveal() };
    await this.#documents.write(name, JSON.stringify(kept));
    this.#pairs.set(name, kept);
    return kept;
  }

  async #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      this.#opened ??= this.#documents.open((name, text) => {
        this.#pairs.set(name, pair.parse(JSON.parse(text)));
      });
      await this.#opened;
      return action();
    });
    this.#last = turn.catch(() => undefined); // it is the caller's
    return turn;
  }
}

function leftOf({ certificatePem }: Pair, now: number): number {
  return Date.parse(new X509Certificate(certificatePem).validTo) - now;
}
