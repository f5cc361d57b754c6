/**
 * The hub's internal listener: sessions for the sites whose tunnels end here, from the access server and
 * from other hubs.
 *
 * Guarantees: TLS 1.3 with a client certificate of the region's parts `access` or `hub`; an agent's own,
 * which the same authority signed, opens nothing here. A session for a site that has moved to another hub
 * is passed on, once; so is one for a site that is leaving while this hub drains. Back-pressure holds from end to end; whichever end closes closes the other.
 */
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import {
  type Clock,
  describeError,
  InvalidError,
  limitedLogger,
  type Logger,
  NotFoundError,
  policyOf,
  UnreachableError,
} from '@cloudlet/runtime/base';
import {
  limits,
  type SessionRequest,
  sessionRequest,
  type SiteLink,
  verifyRole,
} from '@cloudlet/tunnel';
import type { HubMetrics } from './metrics.ts';
import type { SessionDialer } from './session-dial.ts';
import type { Route } from './session-router.ts';
import {
  deadlineHeader,
  hopsHeader,
  maxRequestBytes,
  sessionPath,
  statusOf,
  takeLine,
} from './session-wire.ts';
import type { RegionTls } from './tls-source.ts';

export interface SessionListenerOptions {
  readonly hubName: string;
  readonly tls: () => RegionTls;
  readonly linkOf: (cloudlet: string) => SiteLink | undefined;
  /** Where a site is connected, when it is not here. */
  readonly route: (cloudlet: string) => Route;
  /** Aborts when the hub drains. */
  readonly draining: AbortSignal;
  readonly dialer: SessionDialer;
  readonly metrics: HubMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
}

const defaultDeadlineMs = 30_000;
const longestDeadlineMs = 120_000;
/** Of one access server or hub; more wait at the peer. */
const maxSessionsOfPeer = 1024;

interface Wanted {
  readonly cloudlet: string;
  readonly session: SessionRequest;
  readonly hops: number;
  readonly deadlineMs: number;
}

export class SessionListener {
  readonly #options: SessionListenerOptions;
  readonly #server: Http2SecureServer;
  /** Connections of those who may be here. */
  readonly #peers = new Set<Http2Session>();
  /** For what strangers do, as often as they do it. */
  readonly #strangers: Logger;

  constructor(options: SessionListenerOptions) {
    this.#options = options;
    this.#strangers = limitedLogger(options.logger, options.clock);
    this.#server = createSecureServer({
      ...secureContext(options.tls()),
      minVersion: 'TLSv1.3',
      requestCert: true,
      rejectUnauthorized: true,
      allowHTTP1: false,
      settings: {
        initialWindowSize: limits.sessionWindowBytes,
        maxConcurrentStreams: maxSessionsOfPeer,
        enablePush: false,
      },
      maxSessionMemory: 256,
    });
    this.#server.on('session', (session) => this.#check(session));
    this.#server.on('sessionError', () => undefined); // its streams are told
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => undefined); // ends the session by its close
      // A refused peer's first request may already be on its way through the parser.
      if (stream.session && this.#peers.has(stream.session)) void this.#serve(stream, headers);
      else stream.destroy();
    });
  }

  listen(port: number, host: string): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve(this.#server.address() as AddressInfo);
      });
    });
  }

  setTls(tls: RegionTls): void {
    this.#server.setSecureContext(secureContext(tls));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const peer of this.#peers) peer.destroy();
    await closed;
  }

  /** OpenSSL found that our authority signed it; what counts is for whom. */
  #check(session: ServerHttp2Session): void {
    const socket = session.socket as TLSSocket;
    const certificate = socket.getPeerX509Certificate();
    if (certificate && this.#isPart(certificate)) {
      this.#peers.add(session);
      session.once('close', () => this.#peers.delete(session));
      return;
    }
    this.#strangers.warn('refused a peer of the internal listener', {
      peer: certificate?.subject ?? 'no certificate',
      address: socket.remoteAddress,
    });
    session.destroy();
  }

  #isPart(certificate: X509Certificate): boolean {
    const { tls, clock } = this.#options;
    const options = { authorities: tls().authorities, now: clock.now() };
    return (['access', 'hub'] as const).some((role) => {
      try {
        verifyRole(certificate, role, options);
        return true;
      } catch {
        return false; // said by whoever finds that it is neither
      }
    });
  }

  async #serve(stream: ServerHttp2Stream, headers: Record<string, unknown>): Promise<void> {
    const ended = new AbortController();
    stream.once('close', () => ended.abort(new UnreachableError('the caller hung up')));
    try {
      const wanted = wantedOf(headers, await takeLine(stream, maxRequestBytes));
      const site = await this.#open(wanted, ended.signal);
      if (stream.destroyed) {
        site.destroy();
        return;
      }
      stream.respond({ ':status': 200 });
      await this.#join(stream, site);
    } catch (error) {
      this.#refuse(stream, error);
    }
  }

  #open(wanted: Wanted, signal: AbortSignal): Promise<Duplex> {
    const { cloudlet, session, hops, deadlineMs } = wanted;
    const { draining, hubName } = this.#options;
    const link = this.#options.linkOf(cloudlet);
    if (link && !(draining.aborted && this.#hasLeft(cloudlet)))
      return this.#openHere(link, wanted, signal);
    if (hops > 0) throw new UnreachableError(`Cloudlet ${cloudlet} is not connected to this hub`);
    const route = this.#options.route(cloudlet);
    if (route.hub === hubName) throw new UnreachableError(`Cloudlet ${cloudlet} is not connected`);
    const request = { address: route.address, cloudlet, session, deadlineMs, hops: hops + 1 };
    return this.#options.dialer.open(request, signal);
  }

  /** Whether another hub has the site: what is left of its link here serves old sessions alone. */
  #hasLeft(cloudlet: string): boolean {
    try {
      return this.#options.route(cloudlet).hub !== this.#options.hubName;
    } catch {
      return false; // nobody has it: the link is as good as any
    }
  }

  async #openHere(link: SiteLink, wanted: Wanted, signal: AbortSignal): Promise<Duplex> {
    const expiry = new AbortController();
    const timer = this.#options.clock.after(wanted.deadlineMs, () =>
      expiry.abort(new UnreachableError(`Cloudlet ${wanted.cloudlet} did not open the session`)),
    );
    try {
      return await link.openSession(wanted.session, AbortSignal.any([signal, expiry.signal]));
    } finally {
      timer.cancel();
    }
  }

  async #join(stream: ServerHttp2Stream, site: Duplex): Promise<void> {
    const { metrics, logger } = this.#options;
    metrics.sessions.inc();
    site.on('error', () => undefined); // the pipelines tell
    try {
      await Promise.all([pipeline(stream, site), pipeline(site, stream)]);
    } catch (error) {
      logger.debug('a session broke off', { error });
    } finally {
      metrics.sessions.dec();
      site.destroy();
      stream.destroy();
    }
  }

  #refuse(stream: ServerHttp2Stream, error: unknown): void {
    if (stream.destroyed || stream.headersSent) return;
    const { reason } = policyOf(error);
    stream.respond({ ':status': statusOf(error), 'content-type': 'application/json' });
    stream.end(JSON.stringify({ reason, message: describeError(error).slice(0, 1024) }));
  }
}

function wantedOf(headers: Record<string, unknown>, line: string): Wanted {
  const path = headers[':path'];
  if (headers[':method'] !== 'POST' || typeof path !== 'string' || !path.startsWith(sessionPath))
    throw new NotFoundError('there is nothing here but sessions');
  const session = sessionRequest.safeParse(parsedJson(line));
  if (!session.success) throw new InvalidError('not a session request', { cause: session.error });
  const deadlineMs = Number(headers[deadlineHeader] ?? defaultDeadlineMs);
  return {
    cloudlet: decodeURIComponent(path.slice(sessionPath.length)),
    session: session.data,
    hops: Number(headers[hopsHeader] ?? 0) || 0,
    deadlineMs: Math.min(longestDeadlineMs, deadlineMs > 0 ? deadlineMs : defaultDeadlineMs),
  };
}

function parsedJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function secureContext(tls: RegionTls) {
  return { ca: tls.ca, cert: tls.cert, key: tls.key.reveal() };
}
