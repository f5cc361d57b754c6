/**
 * The tunnel alone, on loopback: one hub, agents in the same process, real TLS.
 *
 * Throughput is a ratio to one plain TLS connection in the same run, through the same process, because
 * machines differ; the median of rounds in turns. Idle traffic is counted on the wire, TLS and all, for one agent and a minute in which
 * nothing happens but pings.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  attachSession,
  createAgentCsr,
  createAuthority,
  createKey,
  createMemoryIdentityStore,
  createTunnelClient,
  createTunnelServer,
  issueServer,
  parseAddress,
  serveSession,
  signAgentCsr,
  type Authority,
  type HubBackend,
  type IdentityStore,
  type SessionRequest,
  type SiteLink,
  type TunnelHandler,
  type TunnelSession,
} from '@cloudlet/tunnel';
import type { Bench } from './contract.ts';

const mebibyte = 1024 * 1024;
const bulkBytes = 256 * mebibyte;
const rounds = 5;
const chunk = Buffer.alloc(64 * 1024, 'bulk');

export const bench: Bench = {
  prefix: 'tunnel',
  needs: [],
  async run({ signal }) {
    const authority = await createAuthority();
    const idle = idleBytes(authority, signal);
    await using direct = await aTunnel(authority, 'direct', signal);
    await using inside = await aTunnel(authority, 'websocket', signal);
    const { plain, throughput, webSocket } = await rates(authority, { direct, inside, signal });
    const echo = await echoUnderBulk(direct.link, signal);
    const stalled = await stalledReader(direct.link, signal);
    return {
      figures: {
        'idle.bytesPerMinute': await idle,
        'throughput.ratio': round(throughput / plain),
        'throughput.mibPerSecond': Math.round(throughput),
        'websocket.ratio': round(webSocket / plain),
        'websocket.mibPerSecond': Math.round(webSocket),
        'echo.p99.underBulk': round(echo),
        'stalledReader.mib': round(stalled),
      },
      notes: [`plain TLS in the same process: ${Math.round(plain)} MiB/s`],
    };
  },
};

/** In turns, so that what else the machine does meets all alike; the first of each warms up. */
async function rates(
  authority: Authority,
  { direct, inside, signal }: { direct: Tunnel; inside: Tunnel; signal: AbortSignal },
): Promise<{ plain: number; throughput: number; webSocket: number }> {
  const all = { plain: [] as number[], throughput: [] as number[], webSocket: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    all.plain.push(await plainTls(authority));
    all.throughput.push(await bulk(direct.link, signal));
    all.webSocket.push(await bulk(inside.link, signal));
  }
  const median = (values: readonly number[]): number =>
    values.slice(1).sort((a, b) => a - b)[rounds >> 1] ?? Number.NaN;
  return {
    plain: median(all.plain),
    throughput: median(all.throughput),
    webSocket: median(all.webSocket),
  };
}

interface Tunnel extends AsyncDisposable {
  readonly link: SiteLink;
}

async function aTunnel(
  authority: Authority,
  firstWay: 'direct' | 'websocket',
  signal: AbortSignal,
  through: (hub: string) => Promise<string> = (hub) => Promise.resolve(hub),
): Promise<Tunnel> {
  const issued = await issueServer(authority, { role: 'hub', hosts: ['127.0.0.1'] });
  let linked: (link: SiteLink) => void = () => undefined;
  const link = new Promise<SiteLink>((resolve) => (linked = resolve));
  const server = createTunnelServer({
    backend: backendThat(linked),
    tls: { ca: authority.certificatePem, cert: issued.certificatePem, key: issued.keyPem },
    hubName: 'bench',
    logger: silentLogger,
  });
  const { main, enroll } = await server.listen({ host: '127.0.0.1', port: 0, enrollPort: 0 });
  const client = createTunnelClient({
    hub: await through(`127.0.0.1:${main.port}`),
    enroll: `127.0.0.1:${enroll.port}`,
    ...{ cloudlet: 'bench', member: 'bench', agentVersion: 'bench', firstWay },
    ...{ store: await anIdentity(authority), handler, logger: silentLogger },
  });
  const stopping = new AbortController();
  const running = client.run(AbortSignal.any([stopping.signal, signal]));
  return {
    link: await link,
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error('the bench is over'));
      await running;
      await server.close();
    },
  };
}

function backendThat(linked: (link: SiteLink) => void): HubBackend {
  return {
    admit: () => Promise.resolve({ admitted: true, cloudletUid: 'bench' }),
    connected: linked,
    turnedAway: () => undefined,
    roleChanged: () => undefined,
    left: () => undefined,
    instanceReport: () => Promise.resolve({ result: 'Applied' }),
    siteReport: () => Promise.resolve({ result: 'Applied' }),
    alive: () => undefined,
    enroll: () => Promise.resolve({ state: 'Refused', reason: 'BadToken', message: 'none' }),
  };
}

/** Sessions: `logs` sends bulk without end, `exec` gives back what it gets. */
const handler: TunnelHandler = {
  have: () => [],
  active: () => true,
  welcomed: () => undefined,
  plan: () => Promise.resolve(),
  unreadable: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  forget: () => Promise.resolve(),
  synced: () => undefined,
  deputize: () => undefined,
  leave: () => Promise.resolve(),
  disconnected: () => undefined,
  session: (request, stream) => serveSession(stream, sessionOf(request)),
};
/** Bytes that sessions `logs` have handed over, by session. */
const handedOver = new Map<string, number>();

function sessionOf(request: SessionRequest): TunnelSession {
  const echo = new PassThrough();
  const source = new Readable({
    read() {
      handedOver.set(request.id, (handedOver.get(request.id) ?? 0) + chunk.length);
      this.push(chunk);
    },
  });
  return {
    ...(request.kind === 'exec' ? { stdin: echo, stdout: echo } : { stdout: source }),
    resize: () => Promise.resolve(),
    exit: new Promise(() => undefined),
    close: () => void (echo.destroy(), source.destroy()),
  };
}

let sessions = 0;
async function open(link: SiteLink, kind: 'exec' | 'logs', signal: AbortSignal) {
  const id = `bench-${sessions++}`;
  const stream = await link.openSession({ id, kind, user: 'bench' }, signal);
  return { id, session: attachSession(stream) };
}

/** MiB a second from site to region. */
async function bulk(link: SiteLink, signal: AbortSignal): Promise<number> {
  const { session } = await open(link, 'logs', signal);
  const rate = await drain(session.stdout, bulkBytes);
  session.close();
  return rate;
}

async function drain(source: Readable, bytes: number): Promise<number> {
  const start = performance.now();
  let taken = 0;
  source.on('data', (data: Buffer) => (taken += data.length));
  while (taken < bytes) await systemClock.sleep(5);
  return taken / mebibyte / ((performance.now() - start) / 1000);
}

async function plainTls(authority: Authority): Promise<number> {
  const issued = await issueServer(authority, { role: 'hub', hosts: ['127.0.0.1'] });
  const server = createTlsServer(
    { key: issued.keyPem.reveal(), cert: issued.certificatePem, minVersion: 'TLSv1.3' },
    (socket) => {
      socket.on('error', () => undefined); // the reader leaves when it has enough
      Readable.from(endless(), { objectMode: false }).pipe(socket);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const socket = connectTls({ port, host: '127.0.0.1', ca: authority.certificatePem });
  await once(socket, 'secureConnect');
  const rate = await drain(socket, bulkBytes);
  socket.destroy();
  server.close();
  return rate;
}

function* endless(): Generator<Buffer> {
  for (;;) yield chunk;
}

/** The 99th percentile of a thousand round trips of 200 bytes while another session sends all it can. */
async function echoUnderBulk(link: SiteLink, signal: AbortSignal): Promise<number> {
  const heavy = await open(link, 'logs', signal);
  heavy.session.stdout.resume();
  const { session } = await open(link, 'exec', signal);
  const message = Buffer.alloc(200, 'echo');
  const times: number[] = [];
  for (let round = 0; round < 1_000; round++) {
    const start = performance.now();
    session.stdin.write(message);
    for (let got = 0; got < message.length;) {
      const [data] = (await once(session.stdout, 'data')) as [Buffer];
      got += data.length;
    }
    times.push(performance.now() - start);
  }
  heavy.session.close();
  session.close();
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
}

/** MiB that a session takes in for a reader that never reads. */
async function stalledReader(link: SiteLink, signal: AbortSignal): Promise<number> {
  const { id, session } = await open(link, 'logs', signal);
  let last = -1;
  while (last !== handedOver.get(id)) {
    last = handedOver.get(id) ?? 0;
    await systemClock.sleep(500);
  }
  session.close();
  return last / mebibyte;
}

/** Bytes of both directions on the wire in a minute, beginning when the connection has settled. */
async function idleBytes(authority: Authority, signal: AbortSignal): Promise<number> {
  let bytes = 0;
  const sockets: Socket[] = [];
  const relay = createServer();
  const through = async (hub: string): Promise<string> => {
    relay.on('connection', (near) => {
      const far = connect(parseAddress(hub));
      sockets.push(near, far);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        from.on('data', (data: Buffer) => (bytes += data.length));
        from.on('error', () => to.destroy());
        from.pipe(to);
      }
    });
    relay.listen(0, '127.0.0.1');
    await once(relay, 'listening');
    return `127.0.0.1:${(relay.address() as AddressInfo).port}`;
  };
  await using _tunnel = await aTunnel(authority, 'direct', signal, through);
  await systemClock.sleep(2_000, signal);
  const before = bytes;
  const minutes = 1;
  await systemClock.sleep(minutes * 60_000 + 500, signal);
  const counted = bytes - before;
  for (const socket of sockets) socket.destroy();
  relay.close();
  return counted / minutes;
}

async function anIdentity(authority: Authority): Promise<IdentityStore> {
  const keyPem = createKey();
  const csrPem = await createAgentCsr(keyPem, 'bench');
  const { certificatePem } = await signAgentCsr(authority, {
    ...{ csrPem, cloudlet: 'bench', cloudletId: 'bench' },
  });
  return createMemoryIdentityStore({ keyPem, certificatePem, caPem: authority.certificatePem });
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
