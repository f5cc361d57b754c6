/**
 * TCP to the region, directly or through an HTTP proxy's CONNECT.
 *
 * Guarantees: an address that `noProxy` names is dialled directly; a proxy's credentials appear in no error.
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { InvalidError, UnreachableError } from '@cloudlet/runtime/base';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface ProxyOptions {
  /** As in HTTPS_PROXY: http://[user:password@]host:port, or https:. */
  readonly url: string;
  /** As in NO_PROXY: host names, domains and addresses, parted by commas; `*` is all. */
  readonly noProxy?: string | undefined;
}

/** @throws InvalidError when it is not `host:port`. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535)
    throw new InvalidError(`not host:port: ${text.slice(0, 128)}`);
  return { host, port };
}

/** @throws UnreachableError when the address or the proxy does not answer, or the signal aborts. */
export function connectTcp(
  address: Address,
  proxy: ProxyOptions | undefined,
  signal: AbortSignal,
): Promise<Socket> {
  return proxy && !isExempt(address.host, proxy.noProxy ?? '')
    ? connectThrough(new URL(proxy.url), address, signal)
    : connectDirectly(address, signal);
}

function connectDirectly(address: Address, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, noDelay: true });
    const abandon = (): void => void socket.destroy(signal.reason as Error);
    signal.addEventListener('abort', abandon, { once: true });
    const done = (): void => signal.removeEventListener('abort', abandon);
    socket.once('connect', () => {
      done();
      socket.off('error', fail);
      resolve(socket);
    });
    const fail = (cause: Error): void => {
      done();
      reject(new UnreachableError(`cannot connect to ${shown(address)}`, { cause }));
    };
    socket.on('error', fail);
  });
}

function connectThrough(proxy: URL, address: Address, signal: AbortSignal): Promise<Socket> {
  const isPlain = proxy.protocol === 'http:';
  if (!isPlain && proxy.protocol !== 'https:')
    throw new InvalidError(`a proxy of scheme ${proxy.protocol} is not supported`);
  const where = `proxy ${proxy.hostname}: CONNECT ${shown(address)}`;
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return new Promise((resolve, reject) => {
    const request = (isPlain ? httpRequest : httpsRequest)({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port || (isPlain ? 80 : 443),
      method: 'CONNECT',
      path: shown(address),
      agent: false,
      signal,
      headers: {
        host: shown(address),
        ...(proxy.username && {
          'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}`,
        }),
      },
    });
    request.once('error', (cause) => reject(new UnreachableError(where, { cause })));
    request.once('response', (response) => {
      response.destroy();
      reject(new UnreachableError(`${where}: answered ${response.statusCode}`));
    });
    request.once('connect', (response, socket, head) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        reject(new UnreachableError(`${where}: answered ${response.statusCode}`));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      socket.setNoDelay(true);
      resolve(socket);
    });
    request.end();
  });
}

function isExempt(host: string, noProxy: string): boolean {
  return noProxy
    .split(',')
    .map((entry) =>
      entry
        .trim()
        .toLowerCase()
        .replace(/^\*?\./, ''),
    )
    .filter(Boolean)
    .some((entry) => entry === '*' || host === entry || host.toLowerCase().endsWith(`.${entry}`));
}

function shown({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
