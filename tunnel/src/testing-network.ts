/** What stands between a site and its region, for tests: a line that fails on demand, and proxies. */
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { createAuthority, issueServer, parseAddress } from './index.ts';

export interface Network extends AsyncDisposable {
  /** host:port to dial. */
  readonly address: string;
  /** Connections that came through. */
  readonly connections: number;
}

export interface Line extends Network {
  /** Bytes of the connections there are get lost in both directions; new ones pass. */
  drop(): void;
  /** Cuts the connections there are with a reset. */
  reset(): void;
  /** The far side closes; the near side hears nothing and may go on sending. */
  halfOpen(): void;
  /** New connections lead there. */
  to(target: string): void;
  /** Whether new connections are accepted. */
  accepts: boolean;
}

/** A TCP line. */
export async function aLine(first: string): Promise<Line> {
  let target = first;
  const pairs: { near: Socket; far: Socket }[] = [];
  const server = createServer((near) => {
    if (!line.accepts) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(parseAddress(target));
    pairs.push({ near, far });
    join(near, far);
  });
  const each = (act: (pair: { near: Socket; far: Socket }) => void): void =>
    pairs.splice(0).forEach(act);
  const line = {
    ...(await opened(server)),
    accepts: true,
    to: (next: string) => void (target = next),
    get connections() {
      return pairs.length;
    },
    drop: () =>
      each(({ near, far }) => {
        near.unpipe(far).resume();
        far.unpipe(near).resume();
      }),
    reset: () =>
      each(({ near, far }) => {
        near.resetAndDestroy();
        far.resetAndDestroy();
      }),
    halfOpen: () =>
      each(({ near, far }) => {
        far.unpipe(near);
        near.unpipe(far).resume();
        far.destroy();
      }),
  };
  return line;
}

/** An HTTP proxy that knows CONNECT, with a password if given. */
export async function aConnectProxy(credentials?: string): Promise<Network> {
  let connections = 0;
  const server = createHttpServer((_request, response) => response.writeHead(405).end());
  server.on('connect', (request, near: Socket) => {
    const expected = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (request.headers['proxy-authorization'] !== (expected || undefined)) {
      near.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
      return;
    }
    connections++;
    const far = connect(parseAddress(request.url ?? ''));
    far.once('connect', () => near.write('HTTP/1.1 200 OK\r\n\r\n'));
    join(near, far);
  });
  const base = await opened(server);
  return {
    ...base,
    get connections() {
      return connections;
    },
  };
}

/** A proxy that ends TLS with a certificate of its own and lets HTTP/1.1 pass alone. */
export async function anInterceptingProxy(target: string): Promise<Network> {
  let connections = 0;
  const authority = await createAuthority({ commonName: 'corporate proxy' });
  const issued = await issueServer(authority, { role: 'access', hosts: ['127.0.0.1'] });
  const server = createTlsServer(
    {
      key: issued.keyPem.reveal(),
      cert: issued.certificatePem,
      ALPNProtocols: ['http/1.1'],
    },
    (near) => {
      connections++;
      const far = connectTls({
        ...parseAddress(target),
        ALPNProtocols: ['http/1.1'],
        rejectUnauthorized: false,
      });
      join(near, far);
    },
  );
  server.on('tlsClientError', () => undefined); // the direct way, refused for its ALPN
  const base = await opened(server);
  return {
    ...base,
    get connections() {
      return connections;
    },
  };
}

function join(near: Socket, far: Socket): void {
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
  near.pipe(far);
  far.pipe(near);
}

async function opened(server: Server): Promise<{ address: string } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close').catch(() => undefined);
    },
  };
}
