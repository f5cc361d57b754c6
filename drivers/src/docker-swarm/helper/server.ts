/**
 * The helper of a node: lets the site's agents reach the part of its engine that a swarm does not carry.
 *
 * Guarantees: TLS 1.3 with certificates on both ends, from the site's own authorities; only an agent's is let
 * in, since every node holds a helper's; what `rules.ts` does not name is refused before the engine sees it;
 * back-pressure is the sockets' own; an idle connection ends after an hour; at most 64 connections.
 */
import { type ClientRequest, request, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock, Logger } from '@cloudlet/runtime/base';
import { isAllowed } from './rules.ts';

/** PEM of one end; `ca` is the site's authorities, one after the other. */
export interface HelperTls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface NodeHelperOptions {
  /** @default '/var/run/docker.sock' */
  readonly socketPath?: string;
  readonly tls: HelperTls;
  /** @default every address */
  readonly host?: string;
  /** @default helperPort */
  readonly port?: number;
  readonly logger: Logger;
  /** Told when the engine's socket takes no connection: what is mounted here may be one that is gone. */
  readonly onEngineLost?: () => void;
}

export interface NodeHelper {
  readonly port: number;
  /** Ends all connections. */
  close(): Promise<void>;
  /** Lets nobody in any more and waits for sessions to end, so long at most; then closes. */
  drain(clock: Clock, withinMs: number): Promise<void>;
}

/** Reserved on every site's nodes. */
export const helperPort = 20800;
/** How long sessions may last that a replaced helper carries. */
export const helperDrainMs = 30_000;
/** Common name of agents' certificates. */
const agentName = 'edge:agent';
const idleMs = 3_600_000;
const maxConnections = 64;

export async function serveNodeHelper(options: NodeHelperOptions): Promise<NodeHelper> {
  const { tls, host, port = helperPort, logger } = options;
  const server = createServer({
    ...tls,
    // A program whose input has ended may still have much to say.
    allowHalfOpen: true,
    handshakeTimeout: 10_000,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
  });
  server.maxConnections = maxConnections;
  server.setTimeout(idleMs);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('request', (incoming: IncomingMessage, response: ServerResponse) => {
    if (isLetIn(incoming)) forward(incoming, response, options);
    else refuse(incoming, response, logger);
  });
  server.on('upgrade', (incoming: IncomingMessage, client: Duplex, head: Buffer) => {
    if (isLetIn(incoming)) upgrade(incoming, client, head, options);
    else client.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
  });
  server.on('tlsClientError', (error) => logger.warn('a peer was refused', { error }));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  return {
    port: portOf(server),
    close: () => closed(server, sockets),
    drain: (clock, withinMs) => drained(server, sockets, clock, withinMs),
  };
}

function isLetIn(incoming: IncomingMessage): boolean {
  const { subject } = (incoming.socket as TLSSocket).getPeerCertificate();
  return subject?.CN === agentName && isAllowed(incoming.method, incoming.url);
}

function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : helperPort;
}

/** Ends all connections, also those that never came to speak. */
async function closed(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const isClosed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of sockets) socket.destroy();
  await isClosed;
}

async function drained(
  server: Server,
  sockets: ReadonlySet<Socket>,
  clock: Clock,
  withinMs: number,
): Promise<void> {
  const isOver = new AbortController();
  const isClosed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  void isClosed.then(() => isOver.abort());
  await clock.sleep(withinMs, isOver.signal).catch(() => undefined); // all ended before
  for (const socket of sockets) socket.destroy();
  await isClosed;
}

function refuse(incoming: IncomingMessage, response: ServerResponse, logger: Logger): void {
  logger.warn('a call was refused', { method: incoming.method, url: incoming.url });
  incoming.resume();
  response.writeHead(403, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ message: 'the helper does not let this through' }));
}

function toEngine(incoming: IncomingMessage, options: NodeHelperOptions): ClientRequest {
  const { socketPath = '/var/run/docker.sock', onEngineLost } = options;
  const { method, url: path, headers } = incoming;
  const engine = request({ socketPath, method, path, headers: { ...headers, host: 'engine' } });
  engine.once('error', ({ code }: NodeJS.ErrnoException) => {
    if (code === 'ECONNREFUSED' || code === 'ENOENT') onEngineLost?.();
  });
  return engine;
}

function forward(
  incoming: IncomingMessage,
  response: ServerResponse,
  options: NodeHelperOptions,
): void {
  const engine = toEngine(incoming, options);
  engine.once('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
    answer.once('error', () => response.destroy());
  });
  engine.once('error', () => {
    if (response.headersSent) response.destroy();
    else response.writeHead(502).end(JSON.stringify({ message: 'the engine does not answer' }));
  });
  response.once('close', () => engine.destroy());
  incoming.pipe(engine);
}

/** A program's input and output: after the engine's answer both sockets are one. */
function upgrade(
  incoming: IncomingMessage,
  client: Duplex,
  head: Buffer,
  options: NodeHelperOptions,
): void {
  const engine = toEngine(incoming, options);
  const fail = (): void => void client.destroy();
  client.once('error', () => engine.destroy());
  engine.once('error', fail);
  engine.once('response', (answer) => {
    // Not upgraded: an error, which the caller reads as any other.
    client.write(headOf(answer));
    answer.pipe(client);
  });
  engine.once('upgrade', (answer: IncomingMessage, socket: Socket, early: Buffer) => {
    client.write(headOf(answer));
    if (early.length > 0) client.write(early);
    socket.pipe(client);
    client.pipe(socket);
    socket.once('error', fail);
    client.once('close', () => socket.destroy());
  });
  // The body of the request, which says how to start, stands before what the program is to read.
  if (head.length > 0) client.unshift(head);
  const length = Number(incoming.headers['content-length'] ?? 0);
  readBody(client, length, (body) => engine.end(body));
}

/** Reads the request's body, then leaves the socket to the program. */
function readBody(client: Duplex, left: number, done: (body: Buffer) => void): void {
  if (left <= 0) {
    done(Buffer.alloc(0));
    return;
  }
  const chunks: Buffer[] = [];
  let missing = left;
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk.subarray(0, missing));
    const rest = chunk.subarray(missing);
    missing -= chunk.length;
    if (missing > 0) return;
    client.off('data', onData).pause();
    if (rest.length > 0) client.unshift(rest);
    done(Buffer.concat(chunks));
  };
  client.on('data', onData);
}

function headOf(answer: IncomingMessage): string {
  const lines = [`HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ''}`];
  for (let at = 0; at < answer.rawHeaders.length; at += 2)
    lines.push(`${answer.rawHeaders[at] ?? ''}: ${answer.rawHeaders[at + 1] ?? ''}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}
