/**
 * A listening port: TCP to TLS 1.3 to a peer that speaks HTTP/2.
 *
 * A peer comes in directly (ALPN h2), or, where something on its way ends the TLS, by a WebSocket at
 * `GET /v1/ws` that carries the same TLS end to end inside. The outer connection of the second way proves
 * nothing and is asked nothing; what counts is the inner one.
 *
 * Guarantees: TLS 1.3 only, no resumption (so no session outlives the check of its certificate); the door
 * says what OpenSSL found about the certificate and leaves the verdict to its owner; every failure ends one
 * connection and is counted.
 */
import { constants, type X509Certificate } from 'node:crypto';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { describeError, type Clock, type Logger } from '@cloudlet/runtime/base';
import { Admission, type Entrant } from './admission.ts';
import type { HandshakeOutcome, TunnelLimits, TunnelTls } from './options.ts';

export interface Peer {
  readonly socket: TLSSocket;
  readonly remoteAddress: string;
  readonly via: 'direct' | 'websocket';
  /** What it showed, if anything. */
  readonly certificate: X509Certificate | undefined;
  /** Whether the certificate chains to our authority and is valid now, as OpenSSL found. */
  readonly authorized: boolean;
}

export interface DoorOptions {
  readonly tls: TunnelTls;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: Pick<TunnelLimits, 'handshakes' | 'maxPending' | 'handshakeMs'>;
  /** Asked before a handshake is paid for. */
  readonly mayEnter?: (remoteAddress: string) => boolean;
  readonly onPeer: (peer: Peer) => void;
  readonly onOutcome: (outcome: HandshakeOutcome, via: 'direct' | 'websocket') => void;
}

/** Longest WebSocket message; a TLS stream is cut into far smaller ones. */
export const webSocketMaxPayload = 4 * 1024 * 1024;

export class Door {
  readonly #options: DoorOptions;
  readonly #admission: Admission;
  readonly #sockets = new Set<Socket>();
  /** By remote address and port: a TLS socket does not tell the socket it was made of. */
  readonly #entrants = new Map<string, Entrant>();
  readonly #tcp = createTcpServer({ pauseOnConnect: true, noDelay: true });
  readonly #tls;
  readonly #http = createHttpServer({ maxHeaderSize: 16_384 });
  readonly #webSocket = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: webSocketMaxPayload,
    clientTracking: false,
  });
  #current: TunnelTls;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#current = options.tls;
    this.#admission = new Admission({ ...options.limits, clock: options.clock });
    this.#tls = createTlsServer(tlsOptions(options.tls, ['h2', 'http/1.1']));
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#failed(error, socket, 'direct'));
    this.#tcp.on('connection', (socket) => this.#enter(socket));
    this.#http.on('request', (_request, response) => {
      response.writeHead(404, { connection: 'close' }).end();
    });
    this.#http.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
    this.#http.on('clientError', (_error, socket) => socket.destroy());
  }

  listen(port: number, host?: string): Promise<AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', reject);
      this.#tcp.listen({ port, host, backlog: 4096 }, () => {
        this.#tcp.off('error', reject);
        this.#tcp.on('error', (error) => this.#options.logger.error('listener failed', { error }));
        resolve(this.#tcp.address() as AddressInfo);
      });
    });
  }

  /** New connections get this certificate and are measured by this authority. */
  setTls(tls: TunnelTls): void {
    this.#tls.setSecureContext(tlsOptions(tls, ['h2', 'http/1.1']));
    this.#current = tls;
  }

  /** Accepts nobody more; who is in stays. */
  stopAccepting(): void {
    this.#tcp.close();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#tcp.listening) this.#tcp.close(() => resolve());
      else resolve();
    });
    this.#admission.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #enter(socket: Socket): void {
    const address = socket.remoteAddress;
    socket.on('error', () => socket.destroy()); // told by the TLS layer, or too early to matter
    if (address === undefined || this.#options.mayEnter?.(address) === false) {
      socket.resetAndDestroy();
      this.#options.onOutcome('TooMany', 'direct');
      return;
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const isIn = this.#admission.enter(socket, (entrant) => {
      const key = keyOf(socket);
      this.#entrants.set(key, entrant);
      socket.once('close', () => this.#entrants.delete(key));
      this.#tls.emit('connection', socket);
    });
    if (!isIn) this.#options.onOutcome('TooMany', 'direct');
  }

  #secured(socket: TLSSocket): void {
    const entrant = this.#entrants.get(keyOf(socket));
    socket.on('error', () => socket.destroy());
    if (!entrant) {
      socket.destroy();
      return;
    }
    if (socket.alpnProtocol === 'h2') this.#admit(socket, entrant, 'direct');
    else this.#http.emit('connection', socket);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const entrant = this.#entrants.get(keyOf(socket as TLSSocket));
    if (!entrant || request.url !== '/v1/ws') {
      socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n');
      return;
    }
    this.#webSocket.handleUpgrade(request, socket, head, (webSocket) => {
      const duplex = createWebSocketStream(webSocket, { allowHalfOpen: false });
      duplex.on('error', () => socket.destroy());
      // A TLS server for this connection alone: its verdict then belongs to this address.
      const inner = createTlsServer(tlsOptions(this.#current, ['h2']));
      inner.on('tlsClientError', (error) => this.#failed(error, duplex, 'websocket'));
      inner.on('secureConnection', (secure) => {
        secure.on('error', () => duplex.destroy());
        secure.once('close', () => socket.destroy());
        this.#admit(secure, entrant, 'websocket');
      });
      inner.emit('connection', duplex);
    });
  }

  #admit(socket: TLSSocket, entrant: Entrant, via: Peer['via']): void {
    entrant.settle();
    this.#options.onPeer({
      socket,
      via,
      remoteAddress: entrant.remoteAddress,
      certificate: socket.getPeerX509Certificate(),
      authorized: socket.authorized,
    });
  }

  #failed(error: Error, socket: Duplex, via: Peer['via']): void {
    this.#options.onOutcome('Failed', via);
    this.#options.logger.debug('TLS handshake failed', { error: describeError(error), via });
    socket.destroy();
  }
}

/**
 * `rejectUnauthorized` is off although nobody unauthorized gets in: Node would apply it to the outer
 * connection of a WebSocket too, which shows no certificate. The owner of the door judges `authorized`.
 */
function tlsOptions(tls: TunnelTls, protocols: string[]): TlsOptions {
  return {
    ca: tls.ca,
    // With the authority in the chain a first contact can hold it against its pin.
    cert: `${tls.cert.trimEnd()}\n${tls.ca}`,
    key: tls.key.reveal(),
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: protocols,
    secureOptions: constants.SSL_OP_NO_TICKET,
    handshakeTimeout: 15_000,
  };
}

function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort}`;
}
