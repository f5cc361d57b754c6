/**
 * The aggregated API server `access.edge.cloudlet.dev`: sessions at sites for users of the region.
 *
 * The API server in front authenticates every kind of user, asks RBAC for the verb on the subresource
 * (`get appinsts/exec` for a WebSocket, `create` for a POST), records the request in its audit log, and
 * passes it on with the user's name. So nothing is authorized here a second time; what is checked is that
 * the request came by that way (`front-proxy.ts`).
 *
 * Guarantees: a session is opened before the WebSocket is accepted, so that a refusal is an HTTP status with
 * a reason; whatever end closes, the other is closed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { type Clock, describeError, InvalidError, type Logger } from '@cloudlet/runtime/base';
import { attachSession } from '@cloudlet/tunnel';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Telemetry } from '../telemetry/telemetry.ts';
import type { RegionTls } from '../hub/tls-source.ts';
import { documentAt } from './discovery.ts';
import { type FrontProxyTrust, type User, userOf } from './front-proxy.ts';
import type { AccessMetrics } from './metrics.ts';
import type { Quota } from './quota.ts';
import { type AccessRequest, parseAccessRequest } from './request.ts';
import type { Sites } from './sites.ts';
import { sessionEnded, sessionOpened } from './session-records.ts';
import { statusOfError } from './status.ts';
import { bridge, protocols, type SessionTimes } from './web-socket.ts';

export interface AccessServerOptions {
  readonly tls: RegionTls;
  readonly trust: FrontProxyTrust;
  readonly sites: Sites;
  readonly quota: Quota;
  readonly times: SessionTimes;
  readonly metrics: AccessMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where there is a collector: who opened what. */
  readonly telemetry?: Telemetry | undefined;
}

/** Longest message of a caller. */
const maxPayloadBytes = 1024 * 1024;
/** The API server's, and strangers', who are told to go through it. */
const maxConnections = 4096;
const drainLookMs = 100;

export class AccessServer {
  readonly #options: AccessServerOptions;
  readonly #server: Server;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: maxPayloadBytes,
    handleProtocols: (offered) => protocols.find((each) => offered.has(each)) ?? false,
  });
  readonly #ending = new AbortController();
  #tls: RegionTls;
  #trust: FrontProxyTrust;

  constructor(options: AccessServerOptions) {
    this.#options = options;
    this.#tls = options.tls;
    this.#trust = options.trust;
    this.#server = createServer({
      ...this.#secureContext(),
      minVersion: 'TLSv1.2',
      requestCert: true,
      // Who shows no certificate of the front proxy gets an answer that says so, and nothing else.
      rejectUnauthorized: false,
      maxHeaderSize: 64 * 1024,
    });
    this.#server.maxConnections = maxConnections;
    this.#server.on('request', (request, response) => void this.#answer(request, response));
    this.#server.on(
      'upgrade',
      (request, socket, head) => void this.#upgrade(request, socket, head),
    );
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
    this.#tls = tls;
    this.#server.setSecureContext(this.#secureContext());
  }

  setTrust(trust: FrontProxyTrust): void {
    this.#trust = trust;
    this.#server.setSecureContext(this.#secureContext());
    this.#server.closeIdleConnections();
  }

  /** Takes no connection more and resolves when the last session has ended, or after `withinMs`. */
  async drain(withinMs: number): Promise<void> {
    const { clock, quota } = this.#options;
    this.#server.close();
    const end = clock.monotonic() + withinMs;
    while (quota.total > 0 && clock.monotonic() < end) await clock.sleep(drainLookMs);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#ending.abort();
    for (const webSocket of this.#webSockets.clients) webSocket.close(1001);
    this.#server.closeAllConnections();
    for (const webSocket of this.#webSockets.clients) webSocket.terminate();
    await closed;
  }

  #secureContext() {
    return { cert: this.#tls.cert, key: this.#tls.key.reveal(), ca: this.#trust.ca };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const user = userOf(request, this.#trust);
      if (!user) {
        sendJson(response, 401, unauthorized);
        return;
      }
      const url = urlOf(request);
      const document = request.method === 'GET' ? documentAt(url.pathname) : undefined;
      if (document) {
        sendJson(response, 200, document);
        return;
      }
      const wanted = parseAccessRequest(url);
      if (wanted.parameters.kind !== 'logs' || request.method !== 'GET')
        throw new InvalidError('a WebSocket is wanted (v5.channel.k8s.io or v4.channel.k8s.io)');
      await this.#logs(wanted, user, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else this.#refuse(response, error);
    }
  }

  /** Plain chunked text, as `kubectl logs` reads. */
  async #logs(wanted: AccessRequest, user: User, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    await this.#withSession(wanted, user, gone.signal, async (stream) => {
      const session = attachSession(stream);
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.flushHeaders();
      await Promise.all([copy(session.stdout, response), copy(session.stderr, response)]);
      const exit = await session.exit;
      // A log that breaks off must not look complete: without the last chunk the reader sees an error.
      if ('reason' in exit || exit.code !== 0) response.destroy();
      else response.end();
    });
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const gone = new AbortController();
    socket.on('error', () => gone.abort());
    socket.once('close', () => gone.abort());
    try {
      const user = userOf(request, this.#trust);
      if (!user) {
        refuseUpgrade(socket, 401, unauthorized);
        return;
      }
      const offered = request.headers['sec-websocket-protocol']?.split(/\s*,\s*/) ?? [];
      if (!protocols.some((protocol) => offered.includes(protocol)))
        throw new InvalidError(`the WebSocket protocol must be one of ${protocols.join(', ')}`);
      const wanted = parseAccessRequest(urlOf(request));
      await this.#withSession(wanted, user, gone.signal, async (stream) => {
        const webSocket = await this.#accept(request, socket, head);
        const { times, clock, logger } = this.#options;
        const session = attachSession(stream);
        // A program that says nothing is no idle user.
        const isLog = wanted.parameters.kind === 'logs';
        const allowed = isLog ? { ...times, idleMs: times.maxMs } : times;
        await bridge({ webSocket, session, times: allowed, clock, logger });
      });
    } catch (error) {
      const status = statusOfError(error);
      this.#options.metrics.refused.inc({ reason: status.reason ?? '' });
      if (socket.writable) refuseUpgrade(socket, status.code, status);
    }
  }

  #accept(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<WebSocket> {
    return new Promise((resolve) =>
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => resolve(webSocket)),
    );
  }

  async #withSession(
    wanted: AccessRequest,
    user: User,
    gone: AbortSignal,
    use: (stream: Duplex) => Promise<void>,
  ): Promise<void> {
    const { sites, quota, metrics, times, clock, logger, telemetry } = this.#options;
    const { kind } = wanted.parameters;
    const release = quota.take(user.name);
    const started = clock.monotonic();
    try {
      const signal = AbortSignal.any([gone, this.#ending.signal]);
      const stream = await sites.open(wanted, user.name, signal);
      metrics.openSeconds.observe({ kind }, (clock.monotonic() - started) / 1000);
      metrics.sessions.inc({ kind });
      telemetry?.log(sessionOpened(wanted, user.name, clock.now()));
      const end = (): void => void stream.destroy();
      const oldest = clock.after(times.maxMs, end);
      signal.addEventListener('abort', end, { once: true });
      try {
        await use(stream);
      } finally {
        oldest.cancel();
        end();
        metrics.sessions.dec({ kind });
        const seconds = Math.round((clock.monotonic() - started) / 1000);
        logger.info('a session ended', { kind, user: user.name, seconds });
        telemetry?.log(sessionEnded(wanted, user.name, clock.now(), seconds));
      }
    } finally {
      release();
    }
  }

  #refuse(response: ServerResponse, error: unknown): void {
    const status = statusOfError(error);
    this.#options.metrics.refused.inc({ reason: status.reason ?? '' });
    if (status.code === 500)
      this.#options.logger.error('a request failed', { error: describeError(error) });
    sendJson(response, status.code, status);
  }
}

const unauthorized = {
  ...statusOfError(undefined),
  code: 401,
  reason: 'Unauthorized',
  message: 'requests come through the API server of the region only',
};

/** Two of them may write to one response: what the reader does not take is not read. */
async function copy(source: Readable, response: ServerResponse): Promise<void> {
  for await (const chunk of source)
    await new Promise<void>((resolve, reject) => {
      response.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
}

function urlOf(request: IncomingMessage): URL {
  const url = URL.parse(request.url ?? '/', 'https://access');
  if (!url) throw new InvalidError('the path cannot be read');
  return url;
}

function sendJson(response: ServerResponse, code: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(code, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

function refuseUpgrade(socket: Duplex, code: number, body: object): void {
  const text = JSON.stringify(body);
  socket.end(
    `HTTP/1.1 ${code} Refused\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(text)}\r\nconnection: close\r\n\r\n${text}`,
  );
}
