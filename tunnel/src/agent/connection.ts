/**
 * One connection of the agent to a hub, from hello to its end.
 *
 * Guarantees: plans, removals and forgets reach the handler one after the other in the order sent, and the
 * stream is read no faster than the handler takes them; the end of a connection is decided here and waits
 * for no event of a library (watchdog): two pings without an answer, silence, or a process that slept. A hub
 * that drains is served until another has the site, and the sessions through it go on until its deadline.
 */
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import {
  describeError,
  ProtocolError,
  UnreachableError,
  type Clock,
  type Logger,
  type Timer,
} from '@cloudlet/runtime/base';
import { connectionWindowBytes, http2Settings } from '../http2.ts';
import { formatLine, parseMessage, readLines } from '../lines.ts';
import {
  hubMessage,
  limits,
  planHead,
  timing,
  type AgentMessage,
  type HubMessage,
  type SessionRequest,
} from '../wire.ts';
import type { TunnelHandler } from './handler.ts';

type Hello = Extract<AgentMessage, { t: 'hello' }>;
export type Welcome = Extract<HubMessage, { t: 'welcome' }>;
export type Refuse = Extract<HubMessage, { t: 'refuse' }>;

/** How a connection ended, or why another one is to be dialled while it goes on. */
export type Ending =
  | { readonly kind: 'Lost'; readonly reason: string }
  | { readonly kind: 'Refused'; readonly refusal: Refuse }
  /** Wanted by one of the ends: redial at once. */
  | { readonly kind: 'Redial'; readonly reason: string };

export const reasonOf = (ending: Ending): string =>
  ending.kind === 'Refused' ? `${ending.refusal.reason}: ${ending.refusal.message}` : ending.reason;

/** Of a connection that went on after it had asked for another. */
export const endingOf = ({ closed }: AgentConnection): Ending => ({
  kind: 'Redial',
  reason: describeError(closed.reason),
});

export interface ConnectionOptions {
  readonly socket: TLSSocket;
  readonly hello: Hello;
  readonly handler: TunnelHandler;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly welcomed: (welcome: Welcome, send: (message: AgentMessage) => void) => void;
  readonly acknowledged: (ack: Extract<HubMessage, { t: 'ack' }>) => void;
  /** Called with each ping. */
  readonly tick: (connection: AgentConnection) => void;
  /** Settles when the message before is done with, of whatever connection. */
  readonly serially: (action: () => Promise<void>) => Promise<void>;
}

const hubMessageTypes = new Set(hubMessage.options.map((option) => option.shape.t.value));
const helloDeadlineMs = 20_000;
const redialText = 'the hub asked to redial';
/** Time for the region to take the rest of a session's output and close it. */
const sessionLingerMs = 300_000;

export class AgentConnection {
  readonly ended: Promise<Ending>;
  readonly session: ClientHttp2Session;
  readonly #options: ConnectionOptions;
  readonly #control: ClientHttp2Stream;
  readonly #closed = new AbortController();
  readonly #sessions = new Set<string>();
  #resolve!: (ending: Ending) => void;
  #timer: Timer | undefined;
  #isWelcome = false;
  /** The hub drains, and the agent looks for another. */
  #isLeaving = false;
  #isRetired = false;
  #missed = 0;
  #bytesRead = 0;
  #lastTickMs: number;

  constructor(options: ConnectionOptions) {
    const { socket, clock, hello } = options;
    this.#options = options;
    this.#lastTickMs = clock.now();
    this.ended = new Promise((resolve) => (this.#resolve = resolve));
    this.session = connect('https://hub', { createConnection: () => socket, ...http2Settings });
    this.session.on('error', (error: Error) => this.#lost(describeError(error)));
    this.session.once('connect', () => this.session.setLocalWindowSize(connectionWindowBytes));
    this.session.once('close', () => this.#lost('the hub closed the connection'));
    socket.once('close', () => this.#lost('the connection was closed'));
    this.#control = this.session.request({ ':method': 'POST', ':path': '/v1/control' });
    this.#control.on('error', (error) => this.#lost(describeError(error)));
    this.#send(hello);
    void this.#read();
    this.#timer = clock.after(helloDeadlineMs, () => this.#lost('no welcome in time'));
  }

  get isWelcome(): boolean {
    return this.#isWelcome;
  }

  /** Sessions that are open. */
  get sessions(): number {
    return this.#sessions.size;
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  setActive(active: boolean): void {
    if (this.#isWelcome) this.#send({ t: 'role', active });
  }

  /** Ends it in an orderly way. */
  end(reason: string): void {
    this.#end({ kind: 'Redial', reason });
  }

  /** Another connection has its place: it serves the sessions that it has and nothing else. */
  retire(): void {
    if (this.#closed.signal.aborted || this.#isRetired) return;
    if (this.#sessions.size === 0) return this.end(redialText);
    this.#isRetired = true;
    this.#timer?.cancel();
  }

  /** Has the agent dial another hub. This connection goes on until it is retired, `leftMs` at most. */
  #leave(leftMs: number): void {
    if (this.#closed.signal.aborted || this.#isLeaving) return;
    this.#isLeaving = true;
    this.#options.clock.after(leftMs, () => this.end(redialText));
    this.#resolve({ kind: 'Redial', reason: redialText });
  }

  #lost(reason: string): void {
    this.#end({ kind: 'Lost', reason });
  }

  #end(ending: Ending): void {
    if (this.#closed.signal.aborted) return;
    const reason = ending.kind === 'Refused' ? ending.refusal.message : ending.reason;
    this.#closed.abort(new UnreachableError(reason));
    this.#timer?.cancel();
    this.session.destroy();
    this.#options.socket.destroy();
    this.#resolve(ending);
  }

  #send(message: AgentMessage): void {
    if (this.#closed.signal.aborted || this.#isRetired || !this.#control.writable) return;
    this.#control.write(formatLine(message, limits.maxLineBytes));
  }

  async #read(): Promise<void> {
    try {
      for await (const { value } of readLines(this.#control, limits.maxLineBytes)) {
        const message = this.#parse(value);
        if (message) await this.#received(message);
        else await this.#unreadable(value);
        if (this.#closed.signal.aborted) return;
      }
      this.#lost('the hub ended the control stream');
    } catch (error) {
      this.#lost(describeError(error));
    }
  }

  /** A message, or nothing when a newer hub means something that this build cannot know. */
  #parse(value: unknown): HubMessage | undefined {
    try {
      return parseMessage<HubMessage>(hubMessage, hubMessageTypes, value);
    } catch (error) {
      if (!this.#isWelcome) throw error;
      this.#options.logger.error('message of the hub not understood', { error });
      return undefined;
    }
  }

  /** A plan whose rest this build cannot read is an instance that the region has to hear of. */
  async #unreadable(value: unknown): Promise<void> {
    const { handler, serially } = this.#options;
    const { t, plan } = value as { readonly t?: unknown; readonly plan?: unknown };
    const head = t === 'plan' && this.#isWelcome ? planHead.safeParse(plan) : undefined;
    if (head?.success && !this.#isRetired) await serially(() => handler.unreadable(head.data));
  }

  async #received(message: HubMessage): Promise<void> {
    const { handler, serially } = this.#options;
    if (!this.#isWelcome && message.t !== 'welcome' && message.t !== 'refuse')
      throw new ProtocolError(`${message.t} before welcome`);
    if (this.#isRetired && message.t !== 'open') return; // said again on the connection that took its place
    switch (message.t) {
      case 'welcome':
        return this.#welcomed(message);
      case 'refuse':
        return this.#end({ kind: 'Refused', refusal: message });
      case 'plan':
        return serially(() => handler.plan(message.plan, message.hash, message.trace));
      case 'remove':
        return serially(() => handler.remove(message.removal));
      case 'forget':
        return serially(() => handler.forget(message.id));
      case 'synced':
        return serially(async () => handler.synced(message.orphans));
      case 'deputize':
        return handler.deputize(message.acts);
      case 'leave':
        return serially(async () => {
          await handler.leave();
          this.#send({ t: 'left' });
        });
      case 'ack':
        return this.#options.acknowledged(message);
      case 'open':
        return this.#open(message.session);
      case 'drain':
        this.#redial(message.withinMs, message.redialWithinMs);
    }
  }

  #welcomed(welcome: Welcome): void {
    if (this.#isWelcome) throw new ProtocolError('a second welcome');
    this.#isWelcome = true;
    this.#timer?.cancel();
    this.#lastTickMs = this.#options.clock.now();
    this.#options.welcomed(welcome, (message) => this.#send(message));
    const active = this.#options.handler.active();
    if (active !== this.#options.hello.active) this.setActive(active);
    this.#ping();
  }

  /**
   * Spread, so that the sites of a hub that goes do not all arrive at the next in one moment; over half of
   * the time at most, so that sessions have the other half.
   */
  #redial(withinMs: number, redialWithinMs = withinMs * 0.5): void {
    const { clock, random, logger } = this.#options;
    logger.info('the hub drains', { withinMs, redialWithinMs });
    const afterMs = Math.min(redialWithinMs, withinMs * 0.5) * random();
    clock.after(afterMs, () => this.#leave(withinMs - afterMs));
  }

  #ping(): void {
    const { clock, socket } = this.#options;
    const sleptMs = clock.now() - this.#lastTickMs;
    this.#lastTickMs = clock.now();
    if (sleptMs > timing.pingMs * 3) return this.end('the process slept, or its clock jumped');
    if (this.#missed >= timing.missedPings && socket.bytesRead === this.#bytesRead)
      return this.#lost(`${this.#missed} pings without an answer`);
    this.#bytesRead = socket.bytesRead;
    this.#missed++;
    if (!this.session.destroyed)
      this.session.ping((error) => {
        if (!error) this.#missed = 0;
      });
    this.#options.tick(this);
    if (!this.#closed.signal.aborted) this.#timer = clock.after(timing.pingMs, () => this.#ping());
  }

  #open(request: SessionRequest): void {
    const { logger } = this.#options;
    if (this.#sessions.size >= limits.maxSessions || this.#sessions.has(request.id)) {
      logger.warn('session refused', { session: request.id, open: this.#sessions.size });
      return;
    }
    this.#sessions.add(request.id);
    const path = `/v1/sessions/${encodeURIComponent(request.id)}`;
    const stream = this.session.request({ ':method': 'POST', ':path': path });
    const ended = new AbortController();
    stream.on('error', (error) => logger.debug('session stream', { error }));
    stream.once('close', () => {
      this.#sessions.delete(request.id);
      if (this.#isRetired && this.#sessions.size === 0) this.end(redialText);
      ended.abort(new UnreachableError('the session ended'));
    });
    stream.once('response', (headers) => void this.#serve(request, stream, headers, ended.signal));
  }

  async #serve(
    request: SessionRequest,
    stream: ClientHttp2Stream,
    headers: IncomingHttpHeaders & IncomingHttpStatusHeader,
    signal: AbortSignal,
  ): Promise<void> {
    const { handler, logger, clock } = this.#options;
    if (headers[':status'] !== 200) {
      stream.close();
      return;
    }
    logger.info('session opened', { session: request.id, kind: request.kind, user: request.user });
    try {
      await handler.session(request, stream, signal);
    } catch (error) {
      logger.error('session failed', { session: request.id, error });
    }
    if (!stream.writableEnded) stream.end();
    stream.resume();
    clock.after(sessionLingerMs, () => stream.destroy());
  }
}
