/**
 * One connection to the main listener, from its TLS handshake to its end.
 *
 * Order: the certificate names a site; the backend admits it or not; HTTP/2 starts; the agent says hello on
 * its control stream; the backend is asked once more; the link is the backend's.
 *
 * Guarantees: nothing of a peer is read before it is admitted, except what refusing it takes; a peer without
 * hello, without a byte for `deadMs`, or with a certificate whose time is over is cut off; whatever a peer
 * sends ends at most its own connection, and who sends too much is read more slowly, itself alone.
 */
import {
  performServerHandshake,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import {
  describeError,
  limitedLogger,
  ProtocolError,
  UnreachableError,
  withDeadline,
  type Logger,
} from '@cloudlet/runtime/base';
import { connectionWindowBytes, http2Settings } from '../http2.ts';
import { formatLine, parseMessage, readLines } from '../lines.ts';
import { refusals } from '../refusal.ts';
import { agentMessage, limits, timing, wireVersions, type AgentMessage } from '../wire.ts';
import type { Admission, SiteIdentity } from './backend.ts';
import { answerStatus } from './body.ts';
import type { Peer } from './door.ts';
import { answerEnrollment } from './enrollment.ts';
import { Link } from './link.ts';
import type { TunnelContext } from './options.ts';
import { Throttle } from './throttle.ts';

const agentMessageTypes = new Set(agentMessage.options.map((option) => option.shape.t.value));
const refusalLingerMs = 5_000;
export interface ConnectionEvents {
  readonly linked: (link: Link) => void;
  readonly closed: () => void;
}

export class Connection {
  readonly identity: SiteIdentity;
  readonly #peer: Peer;
  readonly #context: TunnelContext;
  readonly #events: ConnectionEvents;
  readonly #logger: Logger;
  /** For what the site does wrong, as often as it does it. */
  readonly #mistakes: Logger;
  readonly #renewals: Throttle;
  readonly #startedMs: number;
  readonly #ended = new AbortController();
  #session: ServerHttp2Session | undefined;
  #link: Link | undefined;
  #hasControl = false;
  #renewing = false;
  #bytesRead = -1;
  #heardMs: number;

  constructor(
    peer: Peer,
    identity: SiteIdentity,
    context: TunnelContext,
    events: ConnectionEvents,
  ) {
    this.#peer = peer;
    this.identity = identity;
    this.#context = context;
    this.#events = events;
    this.#logger = context.logger.with({
      cloudlet: identity.cloudlet,
      remoteAddress: peer.remoteAddress,
    });
    this.#mistakes = limitedLogger(this.#logger, context.clock);
    this.#renewals = new Throttle([context.limits.renewals], context.clock, () =>
      context.metrics.limited?.('Renewals'),
    );
    this.#startedMs = this.#heardMs = context.clock.monotonic();
    peer.socket.once('end', () => this.end(new UnreachableError('the agent hung up')));
    peer.socket.once('close', () => this.end(new UnreachableError('the connection was closed')));
  }

  get link(): Link | undefined {
    return this.#link;
  }

  async start(): Promise<void> {
    const admission = await this.#ask();
    if (this.#ended.signal.aborted) return;
    this.#context.metrics.handshake?.(
      admission.admitted ? 'Established' : 'Refused',
      this.#peer.via,
    );
    const session = performServerHandshake(this.#peer.socket, http2Settings);
    this.#session = session;
    session.setLocalWindowSize(connectionWindowBytes);
    session.on('error', (error: Error) => this.end(error));
    session.once('close', () => this.end(new UnreachableError('the agent closed the session')));
    session.on('stream', (stream, headers) => {
      stream.on('error', () => stream.destroy());
      if (admission.admitted) this.#serve(stream, headers);
      else this.#refuse(stream, admission.reason, admission.message);
    });
  }

  /** Looks at the clock; called about once a second. */
  tick(): void {
    const now = this.#context.clock.monotonic();
    const { bytesRead } = this.#peer.socket;
    if (bytesRead !== this.#bytesRead) {
      this.#bytesRead = bytesRead;
      this.#heardMs = now;
      this.#link?.heard();
    }
    if (now - this.#heardMs >= timing.deadMs)
      this.end(new UnreachableError(`no byte for ${timing.deadMs / 1000} s`));
    else if (!this.#link && now - this.#startedMs >= this.#context.limits.handshakeMs)
      this.end(new ProtocolError('no hello in time'));
    else if (this.#context.clock.now() >= this.identity.notAfter.getTime())
      this.end(new UnreachableError('the certificate expired'));
  }

  end(reason: Error): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(reason);
    this.#link?.end(reason);
    this.#session?.destroy();
    this.#peer.socket.destroy();
    this.#logger.info('site disconnected', { reason: describeError(reason) });
    this.#context.metrics.linkClosed?.(reason.name);
    this.#events.closed();
  }

  async #ask(): Promise<Admission> {
    const { backend, clock, limits: bounds } = this.#context;
    try {
      return await withDeadline('admission', bounds.admitMs, clock, () =>
        backend.admit(this.identity),
      );
    } catch (error) {
      this.#logger.warn('admission failed', { error });
      const message = 'the hub cannot tell whether the site may connect';
      return { admitted: false, reason: refusals.NotReady, message };
    }
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[':path'] ?? '';
    if (headers[':method'] !== 'POST') answerStatus(stream, 405);
    else if (path === '/v1/control' && !this.#hasControl) {
      this.#hasControl = true;
      void this.#control(stream);
    } else if (path === '/v1/renew' && !this.#renewing) void this.#renew(stream);
    else if (path.startsWith('/v1/sessions/') && this.#link)
      this.#link.sessions.arrived(path.slice('/v1/sessions/'.length), stream);
    else answerStatus(stream, 404);
  }

  /** Reads the control stream to its end, which is the connection's. */
  async #control(stream: ServerHttp2Stream): Promise<void> {
    const { clock, limits: bounds, metrics } = this.#context;
    const throttle = new Throttle([bounds.messages, bounds.bytes], clock, () =>
      metrics.limited?.('Messages'),
    );
    let isRefused = false; // then the rest is read and let go: to stop reading would reset the refusal
    try {
      stream.respond({ ':status': 200, 'content-type': 'application/jsonl' });
      for await (const { value, bytes } of readLines(stream, limits.maxLineBytes)) {
        await throttle.pass([1, bytes], this.#ended.signal);
        const message = this.#parse(value);
        if (!message) continue;
        if (this.#link) await this.#link.received(message, bytes);
        else if (!isRefused) isRefused = !(await this.#greet(stream, message));
      }
      this.end(new UnreachableError('the agent closed the control stream'));
    } catch (error) {
      if (error instanceof ProtocolError) this.#logger.warn('protocol broken', { error });
      this.end(error instanceof Error ? error : new UnreachableError(String(error)));
    }
  }

  /**
   * A message, or nothing when it is to be passed over. A report that the schema refuses is answered as
   * dropped: ending the connection would only bring it again.
   */
  #parse(value: unknown): AgentMessage | undefined {
    try {
      return parseMessage<AgentMessage>(agentMessage, agentMessageTypes, value);
    } catch (error) {
      const n = (value as { n?: unknown } | null)?.n;
      if (!this.#link || typeof n !== 'number' || !Number.isSafeInteger(n) || n < 0) throw error;
      this.#context.metrics.limited?.('Invalid');
      this.#mistakes.warn('report dropped', { error });
      this.#link.drop(n, describeError(error));
      return undefined;
    }
  }

  /** Answers the first message. False: the agent was refused. */
  async #greet(stream: ServerHttp2Stream, message: AgentMessage): Promise<boolean> {
    if (message.t !== 'hello') throw new ProtocolError(`${message.t} before hello`);
    const { backend, clock, hubName } = this.#context;
    const version = Math.min(message.versions.max, wireVersions.max);
    if (version < Math.max(message.versions.min, wireVersions.min)) {
      const refusal = { reason: refusals.VersionMismatch, message: mismatchOf(message) };
      this.#refuse(stream, refusal.reason, refusal.message);
      const { boot, member } = message;
      backend.turnedAway(this.identity, { boot, member, ...refusal });
      return false;
    }
    const admission = await this.#ask();
    if (this.#ended.signal.aborted) return false;
    if (!admission.admitted) {
      this.#refuse(stream, admission.reason, admission.message);
      return false;
    }
    const link = new Link({
      context: this.#context,
      logger: this.#logger,
      identity: this.identity,
      hello: {
        ...message,
        skewMs: message.time - clock.now(),
        remoteAddress: this.#peer.remoteAddress,
      },
      control: stream,
      disconnect: () => this.end(new UnreachableError('the hub ended the connection')),
    });
    this.#link = link;
    link.welcome({
      t: 'welcome',
      version,
      hub: hubName,
      time: clock.now(),
      cloudlet: this.identity.cloudlet,
      cloudletUid: admission.cloudletUid,
    });
    this.#logger.info('site connected', { member: message.member, boot: message.boot });
    this.#events.linked(link);
    backend.connected(link);
    return true;
  }

  #refuse(stream: ServerHttp2Stream, reason: string, message: string): void {
    this.#logger.info('site refused', { reason, refusal: message });
    if (!stream.headersSent) stream.respond({ ':status': 200 });
    const line = { t: 'refuse', reason, message: message.slice(0, 1024) };
    stream.end(formatLine(line, limits.maxLineBytes));
    this.#context.clock.after(refusalLingerMs, () => this.end(new UnreachableError(reason)));
  }

  async #renew(stream: ServerHttp2Stream): Promise<void> {
    this.#renewing = true;
    const { remoteAddress } = this.#peer;
    await this.#renewals.pass([1], this.#ended.signal);
    const context = { ...this.#context, logger: this.#mistakes };
    await answerEnrollment(stream, { remoteAddress, certificate: this.identity }, context);
    this.#renewing = false;
  }
}

/** Who is to be upgraded, since no version is common to both. */
function mismatchOf({ agentVersion, versions }: Extract<AgentMessage, { t: 'hello' }>): string {
  const isOlder = versions.max < wireVersions.min;
  const remedy = isOlder ? 'upgrade the agent' : 'upgrade the region before its agents';
  return (
    `agent ${agentVersion} speaks wire versions ${versions.min} to ${versions.max}, ` +
    `this hub ${wireVersions.min} to ${wireVersions.max}: ${remedy}`
  );
}
