/**
 * Dials hubs for sessions, as access server or as another hub: one HTTP/2 connection a hub, kept while used.
 *
 * Guarantees: TLS 1.3, and the peer must show the region's certificate of a hub, whatever its address is;
 * each session has a flow-control window of its own, so a stalled one holds that much and delays nobody; a
 * refusal comes back as the error that it was; the deadline covers connecting and the site's answer.
 */
import { X509Certificate } from 'node:crypto';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { type Clock, UnreachableError, withDeadline } from '@cloudlet/runtime/base';
import { limits, type SessionRequest, verifyRole } from '@cloudlet/tunnel';
import { deadlineHeader, errorOf, hopsHeader, refusal, sessionPath } from './session-wire.ts';
import type { RegionTls } from './tls-source.ts';

export interface SessionDialerOptions {
  readonly tls: () => RegionTls;
  readonly clock: Clock;
}

export interface DialRequest {
  /** host:port of the hub's internal listener. */
  readonly address: string;
  readonly cloudlet: string;
  readonly session: SessionRequest;
  /** For connecting and the site's answer. */
  readonly deadlineMs: number;
  /** @default 0 */
  readonly hops?: number;
}

const connectionWindowBytes = 16 * 1024 * 1024;

export class SessionDialer {
  readonly #options: SessionDialerOptions;
  readonly #sessions = new Map<string, { tls: RegionTls; session: ClientHttp2Session }>();

  constructor(options: SessionDialerOptions) {
    this.#options = options;
  }

  /** @throws DeadlineError, UnreachableError, NotFoundError and what else the hub refuses with. */
  open(request: DialRequest, signal: AbortSignal): Promise<Duplex> {
    const what = `session at Cloudlet ${request.cloudlet} through hub ${request.address}`;
    return withDeadline(
      what,
      request.deadlineMs,
      this.#options.clock,
      (both) => this.#open(request, both),
      signal,
    );
  }

  close(): void {
    for (const { session } of this.#sessions.values()) session.destroy();
    this.#sessions.clear();
  }

  async #open(request: DialRequest, signal: AbortSignal): Promise<Duplex> {
    const stream = this.#sessionTo(request.address).request(
      {
        ':method': 'POST',
        ':path': sessionPath + encodeURIComponent(request.cloudlet),
        [hopsHeader]: String(request.hops ?? 0),
        [deadlineHeader]: String(request.deadlineMs),
      },
      { endStream: false },
    );
    const onAbort = (): void => void stream.destroy(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      stream.write(JSON.stringify(request.session) + '\n');
      const status = await statusFrom(stream, request.address);
      if (status === 200) return stream;
      const body = refusalOf(await text(stream));
      throw errorOf(status, `hub ${request.address}: ${body}`);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #sessionTo(address: string): ClientHttp2Session {
    const tls = this.#options.tls();
    const known = this.#sessions.get(address);
    if (known && known.tls === tls && !known.session.closed && !known.session.destroyed)
      return known.session;
    known?.session.close(); // sessions under way go on; a new certificate is for new ones
    const session = connect(`https://${address}`, {
      ca: tls.ca,
      cert: tls.cert,
      key: tls.key.reveal(),
      minVersion: 'TLSv1.3',
      settings: { initialWindowSize: limits.sessionWindowBytes, enablePush: false },
      maxSessionMemory: 256,
      checkServerIdentity: (_host, certificate) => this.#checkHub(certificate.raw),
    });
    session.on('connect', () => session.setLocalWindowSize(connectionWindowBytes));
    session.on('error', () => undefined); // every stream of it is told
    session.once('close', () => {
      if (this.#sessions.get(address)?.session === session) this.#sessions.delete(address);
    });
    session.unref();
    this.#sessions.set(address, { tls, session });
    return session;
  }

  /** The name in the certificate counts, not the address: hubs come and go with theirs. */
  #checkHub(certificate: Buffer): Error | undefined {
    try {
      const { authorities } = this.#options.tls();
      const now = this.#options.clock.now();
      verifyRole(new X509Certificate(certificate), 'hub', { authorities, now });
      return undefined;
    } catch (error) {
      return error as Error;
    }
  }
}

function statusFrom(stream: ClientHttp2Stream, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const onError = (cause?: Error): void =>
      reject(new UnreachableError(`hub ${address}: no answer`, { cause }));
    stream.once('response', (headers) => {
      stream.off('error', onError).off('close', onError);
      stream.on('error', () => undefined); // told by its close to whoever reads it
      resolve(headers[':status'] ?? 500);
    });
    stream.once('error', onError);
    stream.once('close', () => onError());
  });
}

function refusalOf(body: string): string {
  try {
    const { reason, message } = refusal.parse(JSON.parse(body));
    return `${reason}: ${message}`;
  } catch {
    return body.slice(0, 200) || 'refused without a word';
  }
}
