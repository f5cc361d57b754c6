/**
 * The link of hollow sites: an HTTP proxy in their process that their agents dial through (HTTPS_PROXY), as
 * agents behind a firewall do. A site is known by its user name.
 *
 * Guarantees: each site's connections come from an address of its own, so that limits by address mean what
 * they mean in the field; a silent cut passes no byte and no end of either side until it heals, then passes
 * what waited; a route changes where new connections go, as a load balancer in front of hubs does.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  TLSSocket,
} from 'node:tls';
import { systemClock } from '@cloudlet/runtime/base';
import { createAuthority, issueServer } from '@cloudlet/tunnel';
import type { Cut, Routes, Spoil } from './hollow-messages.ts';

export interface Relay {
  /** For the agent of a site. */
  proxyUrl(site: string): string;
  add(site: string, from: string): void;
  cut(site: string, how: Cut): void;
  heal(site: string): void;
  /** Ends the site's connections. */
  drop(site: string): void;
  spoil(site: string, how: Spoil): void;
  route(routes: Routes): void;
  close(): void;
}

interface Passage {
  readonly agent: Socket;
  readonly hub: Socket;
}

interface Lane {
  readonly from: string;
  cut: Cut | undefined;
  readonly passages: Set<Passage>;
  /** Connections asked for during a silent cut. */
  readonly held: Set<() => void>;
}

export async function startRelay(): Promise<Relay> {
  const lanes = new Map<string, Lane>();
  let routes: Routes = {};
  const inspector = await inspectorContext();
  const server = createServer((_, response) => response.writeHead(405).end());
  server.on('connect', (request: IncomingMessage, agent: Socket) => {
    agent.on('error', () => agent.destroy());
    const lane = lanes.get(userOf(request));
    const target = routes[request.url ?? ''] ?? request.url ?? '';
    if (!lane || lane.cut === 'reset') agent.destroy();
    else if (lane.cut === 'inspected') inspect(lane, agent, target, inspector);
    else if (lane.cut !== 'silent') pass(lane, agent, target);
    else hold(lane, agent, () => pass(lane, agent, routes[request.url ?? ''] ?? target));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const laneOf = (site: string): Lane => {
    const lane = lanes.get(site);
    if (!lane) throw new Error(`no site ${site} here`);
    return lane;
  };
  return {
    proxyUrl: (site) => `http://${site}:x@127.0.0.1:${port}`,
    add: (site, from) => {
      if (!lanes.has(site))
        lanes.set(site, { from, cut: undefined, passages: new Set(), held: new Set() });
    },
    cut(site, how) {
      const lane = laneOf(site);
      lane.cut = how;
      if (how === 'reset' || how === 'inspected') end(lane);
      else if (how === 'silent') for (const passage of lane.passages) pause(passage);
    },
    heal(site) {
      const lane = laneOf(site);
      if (lane.cut === 'inspected') end(lane); // whoever inspected is gone, and its connections with it
      lane.cut = undefined;
      for (const passage of lane.passages) {
        const { agent, hub } = passage;
        agent.resume();
        hub.resume();
        if (agent.destroyed || hub.destroyed) endPassage(lane, passage);
      }
      for (const open of lane.held) open();
      lane.held.clear();
    },
    drop: (site) => end(laneOf(site)),
    spoil(site, how) {
      for (const passage of laneOf(site).passages)
        if (how === 'garbage') spill(passage);
        else orphan(passage);
    },
    route: (next) => {
      routes = { ...routes, ...next };
    },
    close() {
      server.close();
      for (const lane of lanes.values()) end(lane);
    },
  };
}

function userOf({ headers }: IncomingMessage): string {
  const encoded = headers['proxy-authorization']?.replace(/^Basic /, '') ?? '';
  return Buffer.from(encoded, 'base64').toString().split(':')[0] ?? '';
}

function hold(lane: Lane, agent: Socket, open: () => void): void {
  lane.held.add(open);
  agent.once('close', () => lane.held.delete(open));
}

/** A proxy of a company: it has a key and an authority of its own. */
async function inspectorContext(): Promise<SecureContext> {
  const authority = await createAuthority({ commonName: 'an inspecting proxy' });
  const issued = await issueServer(authority, { role: 'access', hosts: ['127.0.0.1'] });
  return createSecureContext({ key: issued.keyPem.reveal(), cert: issued.certificatePem });
}

function addressOf(target: string): { readonly host: string; readonly port: number } {
  const colon = target.lastIndexOf(':');
  return { host: target.slice(0, colon), port: Number(target.slice(colon + 1)) };
}

/** Ends the agent's TLS here, and reads what passes; what asks for HTTP/2 is refused. */
function inspect(lane: Lane, agent: Socket, target: string, secureContext: SecureContext): void {
  const ALPNProtocols = ['http/1.1'];
  agent.write('HTTP/1.1 200 Connection established\r\n\r\n');
  const near = new TLSSocket(agent, { isServer: true, secureContext, ALPNProtocols });
  const far = connectTls({ ...addressOf(target), ALPNProtocols, rejectUnauthorized: false });
  const passage = { agent, hub: far };
  lane.passages.add(passage);
  for (const socket of [agent, near, far]) {
    socket.on('error', () => socket.destroy());
    socket.once('close', () => endPassage(lane, passage));
  }
  near.pipe(far).pipe(near);
}

function pass(lane: Lane, agent: Socket, target: string): void {
  const hub = connect({ ...addressOf(target), localAddress: lane.from, noDelay: true });
  const passage = { agent, hub };
  lane.passages.add(passage);
  agent.setNoDelay(true);
  hub.once('connect', () => agent.write('HTTP/1.1 200 Connection established\r\n\r\n'));
  forward(lane, agent, hub);
  forward(lane, hub, agent);
  const closed = (): void => {
    if (lane.cut !== 'silent') endPassage(lane, passage);
  };
  for (const socket of [agent, hub]) {
    socket.on('error', () => socket.destroy());
    socket.once('close', closed);
  }
}

function forward(lane: Lane, from: Socket, to: Socket): void {
  from.on('data', (chunk: Buffer) => {
    if (lane.cut === 'drip') drip(lane, chunk, from, to);
    else if (!to.write(chunk)) from.pause();
  });
  from.on('end', () => to.end());
  to.on('drain', () => {
    if (lane.cut !== 'silent') from.resume();
  });
}

const dripBytes = 256;
const dripMs = 50;

/** Writes a chunk drop by drop, and reads no more until it is through or the link is well again. */
function drip(lane: Lane, chunk: Buffer, from: Socket, to: Socket): void {
  from.pause();
  const next = (rest: Buffer): void => {
    if (to.destroyed) return;
    const isSlow = lane.cut === 'drip' && rest.length > dripBytes;
    to.write(isSlow ? rest.subarray(0, dripBytes) : rest);
    if (isSlow) systemClock.after(dripMs, () => next(rest.subarray(dripBytes)));
    else if (lane.cut !== 'silent') from.resume();
  };
  next(chunk);
}

/** The hub's side ends; what the agent says goes nowhere, and it is told nothing. */
function orphan({ agent, hub }: Passage): void {
  hub.removeAllListeners('end').removeAllListeners('close').destroy();
  agent.removeAllListeners('data').resume();
}

function spill({ agent, hub }: Passage): void {
  agent.write(randomBytes(spillBytes));
  hub.write(randomBytes(spillBytes));
}

/** More than a TLS record holds. */
const spillBytes = 20_000;

function pause({ agent, hub }: Passage): void {
  agent.pause();
  hub.pause();
}

function endPassage(lane: Lane, passage: Passage): void {
  lane.passages.delete(passage);
  passage.agent.destroy();
  passage.hub.destroy();
}

function end(lane: Lane): void {
  for (const passage of lane.passages) endPassage(lane, passage);
}
