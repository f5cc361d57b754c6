/**
 * From nothing to a verified TLS 1.3 connection that speaks HTTP/2 with a hub of our region.
 *
 * Guarantees: a hub is known by its role in the region's own authority, not by the address that it has
 * today; the first contact believes a chain only if it ends at the pinned key; later ones only the stored
 * authority. The check is ours and not the TLS library's, because that one knows the machine's clock alone,
 * and the agent may know better. It does from a hub, whose clock may be wrong as well: so the machine's counts
 * too, lest one such hub keeps the site from all others. What the outer connection of a WebSocket shows is
 * not looked at: all that passes it is inside the inner one.
 */
import { X509Certificate } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';
import {
  ForbiddenError,
  ProtocolError,
  UnreachableError,
  type Secret,
} from '@cloudlet/runtime/base';
import { parseCertificates, pinOf, verifyRole } from '../identity/certificate.ts';
import { connectTcp, type Address, type ProxyOptions } from './proxy.ts';
import { atAnyOf } from './times.ts';

export type Way = 'direct' | 'websocket';

export const otherWay = (way: Way): Way => (way === 'direct' ? 'websocket' : 'direct');

/** How a hub is recognised. */
export type Trust = { readonly caPem: string } | { readonly caPin: string };

export interface DialOptions {
  readonly address: Address;
  readonly way: Way;
  readonly proxy?: ProxyOptions | undefined;
  readonly trust: Trust;
  /** What the time may be, in milliseconds since the epoch: the hub is ours if it is at one of these. */
  readonly times: readonly number[];
  readonly keyPem?: Secret | undefined;
  readonly certificatePem?: string | undefined;
}

const maxWebSocketPayload = 4 * 1024 * 1024;

/**
 * @throws UnreachableError when nobody answers or the handshake fails, ForbiddenError when it is not our hub,
 * ProtocolError when something on the way does not let HTTP/2 pass.
 */
export async function dial(options: DialOptions, signal: AbortSignal): Promise<TLSSocket> {
  const tcp = await connectTcp(options.address, options.proxy, signal);
  const abandon = (): void => void tcp.destroy(signal.reason as Error);
  signal.addEventListener('abort', abandon, { once: true });
  tcp.on('error', () => tcp.destroy()); // told by the layer above
  try {
    signal.throwIfAborted();
    const carrier =
      options.way === 'direct' ? tcp : await openWebSocket(tcp, options.address, signal);
    const secure = await handshake(
      {
        ...(carrier === tcp ? { socket: tcp } : { socket: carrier }),
        ALPNProtocols: ['h2'],
        key: options.keyPem?.reveal(),
        cert: options.certificatePem,
        servername: nameOf(options.address),
      },
      signal,
    );
    verifyHub(secure, options);
    secure.once('close', () => tcp.destroy());
    return secure;
  } catch (error) {
    tcp.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abandon);
  }
}

async function openWebSocket(tcp: Socket, address: Address, signal: AbortSignal): Promise<Duplex> {
  const outer = await handshake(
    { socket: tcp, ALPNProtocols: ['http/1.1'], servername: nameOf(address) },
    signal,
  );
  const authority = address.host.includes(':') ? `[${address.host}]` : address.host;
  const webSocket = new WebSocket(`wss://${authority}:${address.port}/v1/ws`, {
    createConnection: () => outer,
    perMessageDeflate: false,
    maxPayload: maxWebSocketPayload,
    followRedirects: false,
    // A mask of zeros: masks keep pages from choosing what a proxy sees, and ours sees TLS anyway.
    generateMask: () => undefined,
  });
  await new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void => {
      outer.destroy();
      reject(new UnreachableError('cannot open the WebSocket', { cause }));
    };
    webSocket.on('error', fail);
    webSocket.once('open', () => resolve());
    signal.addEventListener('abort', () => outer.destroy(signal.reason as Error), { once: true });
  });
  const duplex = createWebSocketStream(webSocket, { allowHalfOpen: false });
  duplex.on('error', () => outer.destroy());
  return duplex;
}

function handshake(options: ConnectionOptions, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({
      ...options,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      rejectUnauthorized: false, // see above: verifyHub
      checkServerIdentity: () => undefined,
    });
    const abandon = (): void => void socket.destroy(signal.reason as Error);
    signal.addEventListener('abort', abandon, { once: true });
    const fail = (cause?: Error): void => {
      signal.removeEventListener('abort', abandon);
      reject(new UnreachableError('the TLS handshake failed', { cause }));
    };
    const onClose = (): void => fail(new Error('the connection was closed'));
    socket.on('error', fail);
    socket.once('close', onClose);
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', abandon);
      socket.off('error', fail);
      socket.off('close', onClose);
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}

function verifyHub(socket: TLSSocket, { trust, times }: DialOptions): void {
  const shown = chainOf(socket);
  const [certificate] = shown;
  if (!certificate) throw new ForbiddenError('the hub showed no certificate');
  const authorities =
    'caPem' in trust ? parseCertificates(trust.caPem) : pinned(shown, trust.caPin);
  atAnyOf(times, (now) => verifyRole(certificate, 'hub', { authorities, now }));
  if (socket.alpnProtocol !== 'h2')
    throw new ProtocolError('something on the way does not let HTTP/2 pass');
}

/** What the hub showed, its own certificate first. (After getPeerX509Certificate Node gives no chain any more.) */
function chainOf(socket: TLSSocket): readonly X509Certificate[] {
  const shown: X509Certificate[] = [];
  let certificate = socket.getPeerCertificate(true);
  while (certificate?.raw && shown.length < 8) {
    shown.push(new X509Certificate(certificate.raw));
    if (certificate.issuerCertificate === certificate) break;
    certificate = certificate.issuerCertificate;
  }
  return shown;
}

/** The authority of the chain that was shown whose key is the pinned one. */
function pinned(shown: readonly X509Certificate[], pin: string): readonly X509Certificate[] {
  const authorities = shown.filter((candidate) => pinOf(candidate) === pin);
  if (authorities.length === 0)
    throw new ForbiddenError(
      'the region is not the one of the join: its authority has another key',
    );
  return authorities;
}

function nameOf(address: Address): string {
  return isIP(address.host) ? '' : address.host;
}
