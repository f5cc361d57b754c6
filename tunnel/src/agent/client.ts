/**
 * The agent's end of the tunnel: enrols, dials, redials and renews for as long as it runs.
 *
 * Guarantees: it never gives up on what can heal, and what can heal is everything but a damaged key; delays
 * grow with jitter, to 8 s in the first minute without a link and to 60 s later; after a failed handshake
 * the other way (direct or WebSocket) is tried next, and the way that worked is tried first. A hub that
 * drains keeps the site until the next hub has welcomed it, unless none is to be found.
 */
import { randomUUID } from 'node:crypto';
import {
  backoffMs,
  describeError,
  ForbiddenError,
  systemClock,
  withDeadline,
  type Logger,
  type Random,
  type Secret,
} from '@cloudlet/runtime/base';
import type { IdentityStore, StoredIdentity } from '../identity/store.ts';
import { refusalPolicy } from '../refusal.ts';
import {
  planFeatures,
  wireVersions,
  type EnrollReply,
  type InstanceReport,
  type SiteReport,
  type SiteSpan,
} from '../wire.ts';
import { AgentConnection, endingOf, type Ending, reasonOf, type Welcome } from './connection.ts';
import { dial, otherWay, type Way } from './dial.ts';
import {
  enroll,
  enrollOnce,
  isUsable,
  renewalTime,
  requestCertificate,
  type EnrollOptions,
} from './enroll.ts';
import type { TunnelClient, TunnelHandler } from './handler.ts';
import { parseAddress, type ProxyOptions } from './proxy.ts';
import { ReportOutbox } from './report-outbox.ts';
import { type AgentClock, timesOf } from './times.ts';

export interface TunnelClientOptions {
  /** host:port of the hub. */
  readonly hub: string;
  /** host:port of the enrolment listener. */
  readonly enroll: string;
  readonly cloudlet: string;
  /** From the join; needed once. */
  readonly token?: Secret | undefined;
  readonly caPin?: string | undefined;
  readonly store: IdentityStore;
  readonly handler: TunnelHandler;
  /** Host name of this member of the site. */
  readonly member: string;
  readonly agentVersion: string;
  /** New with each start of the process. @default a random one */
  readonly boot?: string;
  /** Plan features of this build. @default planFeatures */
  readonly features?: readonly string[];
  /** Wire versions of this build. @default wireVersions */
  readonly wireVersions?: { readonly min: number; readonly max: number };
  readonly clock?: AgentClock;
  readonly logger: Logger;
  readonly random?: Random;
  readonly proxy?: ProxyOptions | undefined;
  /** The way that is tried first. @default 'direct' */
  readonly firstWay?: Way;
  /** Told of each reply to an enrolment that is no certificate. */
  readonly onEnrollReply?: (reply: EnrollReply) => void;
}

const dialDeadlineMs = 20_000;
const firstMinuteMs = 60_000;
const slowPace = { baseMs: 60_000, maxMs: 60_000, jitter: 0.5 } as const;
const hourMs = 3_600_000;
/** What fails before a hub that drains is let go of: one may still be led to that hub. */
const movesTried = { times: 3, forMs: 10_000 } as const;

export function createTunnelClient(options: TunnelClientOptions): TunnelClient {
  return new Client(options);
}

class Client implements TunnelClient {
  readonly #options: TunnelClientOptions;
  readonly #clock: AgentClock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #boot: string;
  readonly #reports: ReportOutbox;
  readonly #enrollOptions: EnrollOptions;
  #way: Way;
  /** The one that was dialled last. */
  #connection: AgentConnection | undefined;
  /** The one that was welcomed last, and carries what the site says; that of a hub that drains, too. */
  #uplink: AgentConnection | undefined;
  /** To hubs that drain, while sessions go through them. */
  readonly #retired = new Set<AgentConnection>();
  /** Tries to find another hub since the one of the uplink drains, and when they began; monotonic. */
  #moves = { failed: 0, since: 0 };
  #handling: Promise<void> = Promise.resolve();
  #renewal: { at: number; tries: number; isRunning: boolean } | undefined;

  constructor(options: TunnelClientOptions) {
    const { clock = systemClock, random = Math.random, logger } = options;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#logger = logger;
    this.#boot = options.boot ?? randomUUID();
    this.#way = options.firstWay ?? 'direct';
    this.#reports = new ReportOutbox({ clock, logger, random });
    const { cloudlet, member, token, caPin, store, proxy, onEnrollReply } = options;
    this.#enrollOptions = {
      ...{ cloudlet, member, token, caPin, store, proxy, clock, logger, random },
      enroll: options.enroll,
      onReply: onEnrollReply,
    };
  }

  get connected(): boolean {
    return this.#uplink !== undefined;
  }

  report(report: InstanceReport, spans?: readonly SiteSpan[]): void {
    this.#reports.put({ t: 'report', report, ...(spans ? { spans: [...spans] } : {}) });
  }

  reportSite(report: SiteReport): void {
    this.#reports.put({ t: 'site', report });
  }

  setActive(active: boolean): void {
    this.#uplink?.setActive(active);
  }

  async run(signal: AbortSignal): Promise<void> {
    const end = (): void => {
      for (const connection of [this.#connection, this.#uplink, ...this.#retired])
        connection?.end('the agent stops');
    };
    signal.addEventListener('abort', end, { once: true });
    try {
      await this.#loop(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  async #loop(signal: AbortSignal): Promise<void> {
    let attempt = 0;
    let downSince = this.#clock.monotonic();
    while (!signal.aborted) {
      const { ending, wasUp } = await this.#connectOnce(signal);
      if (signal.aborted) return;
      if (wasUp) {
        attempt = 0;
        downSince = this.#clock.monotonic();
      }
      if (ending.kind === 'Redial') continue;
      const isFresh = this.#clock.monotonic() - downSince < firstMinuteMs;
      const pace =
        ending.kind === 'Refused' && refusalPolicy(ending.refusal.reason).pace === 'slow'
          ? slowPace
          : { baseMs: 500, maxMs: isFresh ? 8_000 : 60_000, jitter: 0.8 };
      const delayMs = backoffMs(attempt++, pace, this.#random);
      await this.#clock.sleep(delayMs, signal);
    }
  }

  /** One try from dialling to the end of what came of it. Throws only when the signal aborted. */
  async #connectOnce(signal: AbortSignal): Promise<{ ending: Ending; wasUp: boolean }> {
    let connection: AgentConnection;
    const identity = await this.#identity(signal);
    const way = this.#way;
    try {
      connection = await this.#dial(identity, way, signal);
    } catch (error) {
      signal.throwIfAborted();
      const reason = describeError(error);
      this.#logger.info('cannot reach the hub', { hub: this.#options.hub, way, reason });
      this.#way = otherWay(way);
      this.#notMoved();
      if (error instanceof ForbiddenError) await this.#enrollAgain(signal);
      return { ending: { kind: 'Lost', reason }, wasUp: false };
    }
    this.#connection = connection;
    if (signal.aborted) connection.end('the agent stops');
    const ending = await connection.ended;
    const wasUp = connection.isWelcome;
    if (!connection.closed.aborted) this.#leave(connection);
    else if (wasUp) this.#down(connection, ending);
    else this.#notWelcomed(ending);
    if (!wasUp && ending.kind === 'Lost') this.#way = otherWay(way);
    if (ending.kind === 'Refused' && refusalPolicy(ending.refusal.reason).enrolAgain)
      await this.#enrollAgain(signal);
    return { ending, wasUp };
  }

  /** The hub drains: the connection to it goes on until another has its place, or its time is over. */
  #leave(connection: AgentConnection): void {
    this.#moves = { failed: 0, since: this.#clock.monotonic() };
    this.#options.handler.deputize(false); // the mandate was of this hub, and the next is told who acts
    const ended = (): void => this.#down(connection, endingOf(connection));
    connection.closed.addEventListener('abort', ended, { once: true });
  }

  /** Who finds no other hub lets go of the one that drains: it may be the only one, and ends sooner so. */
  #notMoved(): void {
    const uplink = this.#uplink;
    const isEarly = this.#clock.monotonic() - this.#moves.since < movesTried.forMs;
    if (!uplink || ++this.#moves.failed < movesTried.times || isEarly) return;
    this.#down(uplink, { kind: 'Redial', reason: 'the hub drains, and no other is found' });
    this.#retire(uplink);
  }

  #retire(connection: AgentConnection): void {
    connection.retire();
    if (connection.closed.aborted) return;
    this.#retired.add(connection);
    const forget = (): void => void this.#retired.delete(connection);
    connection.closed.addEventListener('abort', forget, { once: true });
  }

  /** The stored identity, after enrolment when there is none or its time is over. */
  async #identity(signal: AbortSignal): Promise<Required<StoredIdentity>> {
    let stored = await this.#options.store.load();
    if (!isUsable(stored, this.#clock.now())) stored = await enroll(this.#enrollOptions, signal);
    if (!isUsable(stored, this.#clock.now())) {
      // Issued with an end that is past already: the machine's clock is far ahead of the region's.
      this.#logger.warn('the new certificate has expired by the clock of this machine');
    }
    const { keyPem, certificatePem = '', caPem = '' } = stored;
    this.#renewal = {
      at: renewalTime(certificatePem, this.#random),
      tries: 0,
      isRunning: false,
    };
    return { keyPem, certificatePem, caPem };
  }

  async #dial(
    identity: Required<StoredIdentity>,
    way: Way,
    signal: AbortSignal,
  ): Promise<AgentConnection> {
    const { hub, proxy, handler } = this.#options;
    const socket = await withDeadline(
      `hub ${hub}`,
      dialDeadlineMs,
      this.#clock,
      (inner) =>
        dial(
          {
            ...{ address: parseAddress(hub), way, proxy, times: timesOf(this.#clock) },
            trust: { caPem: identity.caPem },
            keyPem: identity.keyPem,
            certificatePem: identity.certificatePem,
          },
          inner,
        ),
      signal,
    );
    const connection: AgentConnection = new AgentConnection({
      socket,
      handler,
      clock: this.#clock,
      logger: this.#logger,
      random: this.#random,
      hello: {
        t: 'hello',
        versions: this.#options.wireVersions ?? wireVersions,
        boot: this.#boot,
        member: this.#options.member,
        agentVersion: this.#options.agentVersion,
        time: this.#clock.now(),
        active: handler.active(),
        features: [...(this.#options.features ?? planFeatures)],
        have: [...handler.have()],
      },
      welcomed: (welcome, send) => {
        this.#welcomed(connection, welcome);
        this.#reports.attach(send);
      },
      acknowledged: (ack) => this.#reports.acknowledged(ack),
      tick: (current) => this.#maybeRenew(current, identity),
      serially: (action) => this.#serially(action),
    });
    return connection;
  }

  #welcomed(connection: AgentConnection, welcome: Welcome): void {
    const before = this.#uplink;
    this.#uplink = connection;
    if (before) this.#retire(before);
    this.#logger.info('connected', { hub: welcome.hub, way: this.#way });
    const { hub, cloudlet, cloudletUid } = welcome;
    const skewMs = welcome.time - this.#clock.now();
    this.#options.handler.welcomed({ hub, cloudlet, cloudletUid, skewMs });
  }

  /** The site has no link, unless another one has taken this one's place. */
  #down(connection: AgentConnection, ending: Ending): void {
    if (this.#uplink !== connection) return;
    this.#uplink = undefined;
    this.#reports.detach();
    this.#tellEnd(ending);
    this.#options.handler.disconnected(reasonOf(ending));
  }

  #notWelcomed(ending: Ending): void {
    if (!this.#uplink) return this.#tellEnd(ending);
    this.#logger.info('no other hub yet', { kind: ending.kind, reason: reasonOf(ending) });
    this.#notMoved();
  }

  #tellEnd(ending: Ending): void {
    // What is refused for good waits for a person, who finds the reason and the remedy here.
    const isStuck =
      ending.kind === 'Refused' && refusalPolicy(ending.refusal.reason).pace === 'slow';
    const fields = { kind: ending.kind, reason: reasonOf(ending) };
    this.#logger.log(isStuck ? 'warn' : 'info', 'disconnected', fields);
  }

  /** One message after the other, also across connections; a handler that fails costs its message alone. */
  #serially(action: () => Promise<void>): Promise<void> {
    this.#handling = this.#handling
      .then(action)
      .catch((error: unknown) => this.#logger.error('message not handled', { error }));
    return this.#handling;
  }

  /** The region does not know the certificate: one try to get another. */
  async #enrollAgain(signal: AbortSignal): Promise<void> {
    try {
      const reply = await enrollOnce(this.#enrollOptions, this.#way, signal);
      if (reply.state === 'Issued') this.#logger.info('enrolled again');
      else {
        this.#options.onEnrollReply?.(reply);
        this.#logger.info('not enrolled again', { state: reply.state, reason: reply.message });
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#logger.info('cannot enrol again', { reason: describeError(error) });
    }
  }

  /** With each ping: renew when it is time; move to the new certificate when nobody is in a session. */
  #maybeRenew(connection: AgentConnection, used: Required<StoredIdentity>): void {
    const [now, renewal] = [this.#clock.now(), this.#renewal];
    if (!renewal || renewal.isRunning || now < renewal.at) return;
    renewal.isRunning = true;
    this.#renew(connection, used)
      .then((isRenewed) => {
        if (isRenewed) return;
        renewal.isRunning = false;
        renewal.at = now + backoffMs(renewal.tries++, { baseMs: 60_000, maxMs: hourMs });
      })
      .catch((error: unknown) => this.#logger.error('renewal failed', { error }));
  }

  async #renew(connection: AgentConnection, used: Required<StoredIdentity>): Promise<boolean> {
    try {
      const reply = await withDeadline(
        'renewal',
        30_000,
        this.#clock,
        (signal) =>
          requestCertificate(connection.session, '/v1/renew', used, this.#enrollOptions, signal),
        connection.closed,
      );
      if (reply.state !== 'Issued') {
        this.#logger.warn('not renewed', { state: reply.state, reason: reply.message });
        return false;
      }
    } catch (error) {
      this.#logger.warn('not renewed', { error });
      return false;
    }
    this.#logger.info('certificate renewed');
    void this.#moveWhenIdle(connection);
    return true;
  }

  /** A session in progress keeps the old connection for an hour at most. */
  async #moveWhenIdle(connection: AgentConnection): Promise<void> {
    const end = this.#clock.monotonic() + hourMs;
    try {
      while (connection.sessions > 0 && this.#clock.monotonic() < end)
        await this.#clock.sleep(5_000, connection.closed);
    } catch {
      return; // it ended by itself
    }
    connection.end('moves to the new certificate');
  }
}
