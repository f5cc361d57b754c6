/**
 * The region's end of all tunnels: the main listener for agents with a certificate, and the enrolment
 * listener for those who need one. The tunnel moves messages and watches liveness; everything else is asked
 * of the `HubBackend`.
 */
import type { AddressInfo } from 'node:net';
import {
  describeError,
  limitedLogger,
  systemClock,
  UnreachableError,
  type Logger,
  type Timer,
} from '@cloudlet/runtime/base';
import { parseCertificates, verifyAgent } from '../identity/certificate.ts';
import { AddressLimit } from '../rate-limit.ts';
import { refusals } from '../refusal.ts';
import type { SiteLink } from './backend.ts';
import { Connection } from './connection.ts';
import { Door, type Peer } from './door.ts';
import { serveEnrollment } from './enrollment.ts';
import {
  defaultLimits,
  type TunnelContext,
  type TunnelServerOptions,
  type TunnelTls,
} from './options.ts';

const tickMs = 1_000;
/** Time for each site of a hub that drains: so many come to the next one as a busy machine takes. */
const redialPaceMs = 60;
/** However few they are: what leads to hubs needs a moment to know that this one goes. */
const leastSpreadMs = 5_000;

export interface ListenOptions {
  /** @default every address */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly enrollPort: number;
}

export interface TunnelServer extends AsyncDisposable {
  listen(
    options: ListenOptions,
  ): Promise<{ readonly main: AddressInfo; readonly enroll: AddressInfo }>;
  /** For connections from now on. */
  setTls(tls: TunnelTls): void;
  /** Links that said hello and are alive. */
  links(): readonly SiteLink[];
  /**
   * Accepts nobody more, asks every site to redial, and resolves when all have gone, after `withinMs` at most:
   * within half of it they redial, sooner where they are few, so that no more come to the next hub at once
   * than it takes. A site stays, for its sessions alone, as long as these last.
   */
  drain(withinMs: number): Promise<void>;
  close(): Promise<void>;
}

export function createTunnelServer(options: TunnelServerOptions): TunnelServer {
  return new Server(options);
}

class Server implements TunnelServer {
  readonly #context: TunnelContext;
  readonly #main: Door;
  readonly #enroll: Door;
  readonly #perSite: AddressLimit;
  /** For what strangers do, as often as they do it. */
  readonly #strangers: Logger;
  readonly #connections = new Set<Connection>();
  #tls: TunnelTls;
  #linked = 0;
  #isDraining = false;
  #ticker: Timer | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(options: TunnelServerOptions) {
    const { backend, hubName, logger, metrics = {}, clock = systemClock } = options;
    const limits = { ...defaultLimits, ...options.limits };
    this.#context = { backend, hubName, logger, metrics, clock, limits };
    this.#tls = options.tls;
    this.#perSite = new AddressLimit(limits.connectionsPerSite, clock);
    this.#strangers = limitedLogger(logger, clock);
    const perAddress = new AddressLimit(limits.enrollPerAddress, clock);
    const shared = { tls: options.tls, clock, logger };
    this.#main = new Door({
      ...shared,
      limits,
      onPeer: (peer) => this.#accept(peer),
      onOutcome: (outcome, via) => metrics.handshake?.(outcome, via),
    });
    this.#enroll = new Door({
      ...shared,
      limits: {
        handshakes: limits.handshakes,
        maxPending: limits.maxEnrolling,
        handshakeMs: limits.handshakeMs,
      },
      mayEnter: (address) => perAddress.tryTake(address),
      onPeer: (peer) =>
        serveEnrollment(peer, this.#tls.ca, { ...this.#context, logger: this.#strangers }),
      onOutcome: (outcome) => metrics.enrollment?.(outcome === 'TooMany' ? 'TooMany' : 'Failed'),
    });
  }

  async listen({ host, port, enrollPort }: ListenOptions): Promise<{
    main: AddressInfo;
    enroll: AddressInfo;
  }> {
    const main = await this.#main.listen(port, host);
    const enroll = await this.#enroll.listen(enrollPort, host);
    this.#tick();
    return { main, enroll };
  }

  setTls(tls: TunnelTls): void {
    this.#main.setTls(tls);
    this.#enroll.setTls(tls);
    this.#tls = tls;
  }

  links(): readonly SiteLink[] {
    return [...this.#connections].flatMap(({ link }) => (link?.closed.aborted ? [] : (link ?? [])));
  }

  async drain(withinMs: number): Promise<void> {
    this.#isDraining = true;
    this.#main.stopAccepting();
    this.#enroll.stopAccepting();
    const spreadMs = Math.max(leastSpreadMs, this.links().length * redialPaceMs);
    const times = { withinMs, redialWithinMs: Math.min(spreadMs, Math.round(withinMs / 2)) };
    for (const connection of this.#connections)
      if (connection.link) connection.link.drain(times);
      else connection.end(new UnreachableError('the hub drains'));
    if (this.#connections.size > 0) await new Promise<void>((resolve) => (this.#onEmpty = resolve));
  }

  async close(): Promise<void> {
    this.#ticker?.cancel();
    for (const connection of this.#connections)
      connection.end(new UnreachableError('the hub closes'));
    await Promise.all([this.#main.close(), this.#enroll.close()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(peer: Peer): void {
    const { clock, metrics } = this.#context;
    try {
      if (!peer.authorized || !peer.certificate)
        throw new UnreachableError('no certificate of this region');
      if (this.#isDraining) {
        peer.socket.destroy(); // its handshake was under way; the next replica has it
        return;
      }
      const identity = verifyAgent(peer.certificate, {
        authorities: parseCertificates(this.#tls.ca),
        now: clock.now(),
      });
      if (!this.#perSite.tryTake(identity.cloudlet)) {
        metrics.handshake?.('TooMany', peer.via);
        metrics.limited?.('Connections');
        this.#strangers.warn('a site connects too often', { cloudlet: identity.cloudlet });
        peer.socket.destroy();
        return;
      }
      const connection = new Connection(peer, identity, this.#context, {
        linked: () => {
          metrics.links?.(++this.#linked);
          this.#makeRoom(identity.fingerprint);
        },
        closed: () => this.#closed(connection),
      });
      this.#connections.add(connection);
      connection.start().catch((error: unknown) => {
        connection.end(error instanceof Error ? error : new UnreachableError(String(error)));
      });
    } catch (error) {
      metrics.handshake?.('Unauthorized', peer.via);
      this.#strangers.info('unauthorized connection', {
        remoteAddress: peer.remoteAddress,
        reason: describeError(error),
      });
      peer.socket.destroy();
    }
  }

  /** Ends the oldest link of a key that has too many: most likely its line broke unnoticed. */
  #makeRoom(fingerprint: string): void {
    const { limits, metrics } = this.#context;
    const ofKey = this.links().filter((link) => link.identity.fingerprint === fingerprint);
    if (ofKey.length <= limits.maxLinksPerKey) return;
    metrics.limited?.('Links');
    ofKey[0]?.refuse(refusals.TooManyMembers, `the key has ${ofKey.length - 1} newer connections`);
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection);
    if (connection.link) this.#context.metrics.links?.(--this.#linked);
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  #tick(): void {
    for (const connection of this.#connections) connection.tick();
    this.#ticker = this.#context.clock.after(tickMs, () => this.#tick());
  }
}
