/** Real TLS on the loopback: who may open sessions, and what becomes of them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { Duplex, PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import {
  ForbiddenError,
  NotFoundError,
  Secret,
  silentLogger,
  systemClock,
  TooManyRequestsError,
  UnreachableError,
} from '@cloudlet/runtime/base';
import {
  type Authority,
  createAgentCsr,
  createAuthority,
  issueServer,
  parseCertificates,
  type SessionRequest,
  signAgentCsr,
} from '@cloudlet/tunnel';
import { Registry } from 'prom-client';
import { createHubMetrics } from './metrics.ts';
import { SessionDialer } from './session-dial.ts';
import { SessionListener } from './session-listener.ts';
import { RecordingLink } from './testing.ts';
import type { RegionTls } from './tls-source.ts';

/** A site whose sessions echo, or fail as told. */
class EchoLink extends RecordingLink {
  readonly asked: SessionRequest[] = [];
  failure: Error | undefined;
  #opened: Duplex | undefined;

  get opened(): Duplex | undefined {
    return this.#opened;
  }
  override openSession(): never;
  override openSession(request: SessionRequest): Promise<Duplex>;
  override openSession(request?: SessionRequest): Promise<Duplex> {
    if (request) this.asked.push(request);
    if (this.failure) return Promise.reject(this.failure);
    const [site, agent] = pair();
    agent.on('error', () => undefined); // its other end was cut
    agent.pipe(agent);
    this.#opened = agent;
    return Promise.resolve(site);
  }
}

/** Two ends of one stream. */
function pair(): [Duplex, Duplex] {
  const [there, back] = [new PassThrough(), new PassThrough()];
  const join = (readable: PassThrough, writable: PassThrough): Duplex =>
    Duplex.from({ readable, writable });
  return [join(back, there), join(there, back)];
}

const request: SessionRequest = { id: 's1', kind: 'exec', argv: ['cat'], user: 'ann' };

let authority: Authority;
let hubTls: RegionTls;
let accessTls: RegionTls;
const links = new Map<string, EchoLink>();
const listeners: SessionListener[] = [];
const dialers: SessionDialer[] = [];
let addressA = '';
let addressB = '';

async function tlsOf(role: 'hub' | 'access' | 'operator', from = authority): Promise<RegionTls> {
  const issued = await issueServer(from, { role, hosts: ['127.0.0.1'] });
  return {
    ca: issued.caPem,
    cert: issued.certificatePem,
    key: issued.keyPem,
    authorities: parseCertificates(issued.caPem),
  };
}

function dialerWith(tls: RegionTls): SessionDialer {
  const dialer = new SessionDialer({ tls: () => tls, clock: systemClock });
  dialers.push(dialer);
  return dialer;
}

async function startHub(
  hubName: string,
  sites: readonly string[],
  peer: () => string,
  draining = new AbortController().signal,
) {
  const listener = new SessionListener({
    hubName,
    tls: () => hubTls,
    linkOf: (cloudlet) => (sites.includes(cloudlet) ? links.get(cloudlet) : undefined),
    route: (cloudlet) => {
      if (cloudlet === 'nowhere' || cloudlet === 'west')
        throw new UnreachableError('Cloudlet nowhere is not connected');
      return { hub: 'peer', address: peer() };
    },
    draining,
    dialer: dialerWith(hubTls),
    metrics: createHubMetrics(new Registry()),
    clock: systemClock,
    logger: silentLogger,
  });
  listeners.push(listener);
  const { port } = await listener.listen(0, '127.0.0.1');
  return `127.0.0.1:${port}`;
}

before(async () => {
  authority = await createAuthority();
  hubTls = await tlsOf('hub');
  accessTls = await tlsOf('access');
  for (const site of ['north', 'south']) links.set(site, new EchoLink());
  addressA = await startHub('a', ['north'], () => addressB);
  addressB = await startHub('b', ['south'], () => addressA);
});

after(async () => {
  for (const dialer of dialers) dialer.close();
  await Promise.all(listeners.map((listener) => listener.close()));
});

const signal = AbortSignal.timeout(60_000);
const open = (dialer: SessionDialer, cloudlet: string, address = addressA): Promise<Duplex> =>
  dialer.open({ address, cloudlet, session: request, deadlineMs: 20_000 }, signal);

async function echo(stream: Duplex, text: string): Promise<string> {
  stream.write(text);
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  return chunk.toString();
}

test('the access server opens a session at the site, and both ends flow', async () => {
  const stream = await open(dialerWith(accessTls), 'north');
  assert.equal(await echo(stream, 'hello'), 'hello');
  assert.deepEqual(links.get('north')?.asked.at(-1), request);
  stream.destroy();
});

test('a session for a site at another hub is passed on', async () => {
  const stream = await open(dialerWith(accessTls), 'south');
  assert.equal(await echo(stream, 'far'), 'far');
  stream.destroy();
});

test('a hub that drains passes on what is for a site that left, and keeps what nobody else has', async () => {
  for (const site of ['east', 'west']) links.set(site, new EchoLink());
  const draining = new AbortController();
  const old = await startHub('old', ['east', 'west'], () => next, draining.signal);
  const next = await startHub('peer', ['east'], () => old);
  const caller = dialerWith(accessTls);
  const before = await open(caller, 'east', old);
  assert.equal(await echo(before, 'before'), 'before');
  const ended = links.get('east')?.opened;
  draining.abort();
  links.set('east', new EchoLink()); // the one that the other hub has
  const during = await open(caller, 'east', old);
  assert.equal(await echo(during, 'during'), 'during');
  assert.equal(links.get('east')?.asked.length, 1);
  assert.equal(await echo(before, 'still'), 'still');
  assert.equal(ended?.destroyed, false);
  const stays = await open(caller, 'west', old);
  assert.equal(await echo(stays, 'here'), 'here');
  for (const stream of [before, during, stays]) stream.destroy();
});

test('a session for a site that neither hub has is passed on once only', async () => {
  await assert.rejects(open(dialerWith(accessTls), 'lost'), (error) => {
    assert.ok(error instanceof UnreachableError);
    assert.match(error.message, /not connected to this hub/);
    return true;
  });
});

test('a refusal comes back as the error that it was', async () => {
  const link = links.get('north');
  assert.ok(link);
  for (const failure of [
    new NotFoundError('no such task'),
    new TooManyRequestsError('64 sessions', 1),
    new ForbiddenError('not you'),
  ]) {
    link.failure = failure;
    await assert.rejects(open(dialerWith(accessTls), 'north'), (error) => {
      assert.equal((error as Error).name, failure.name);
      assert.ok((error as Error).message.includes(failure.message));
      return true;
    });
  }
  link.failure = undefined;
  await assert.rejects(open(dialerWith(accessTls), 'nowhere'), UnreachableError);
});

test('when the caller goes the site is told, and the other way round', async () => {
  const stream = await open(dialerWith(accessTls), 'north');
  const site = links.get('north')?.opened;
  assert.ok(site);
  assert.equal(await echo(stream, 'x'), 'x');
  stream.destroy();
  if (!site.closed) await new Promise<void>((resolve) => site.once('close', () => resolve()));
  const second = await open(dialerWith(accessTls), 'north');
  assert.equal(await echo(second, 'y'), 'y');
  const closed = once(second, 'close');
  links.get('north')?.opened?.destroy();
  await closed;
});

test("an agent's certificate, the operator's, or another authority's opens nothing", async () => {
  const key = new Secret(
    generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ type: 'pkcs8', format: 'pem' })
      .toString(),
  );
  const csrPem = await createAgentCsr(key, 'north');
  const agent = await signAgentCsr(authority, { csrPem, cloudlet: 'north', cloudletId: 'id' });
  const stranger = await tlsOf('access', await createAuthority());
  const peers: RegionTls[] = [
    { ...hubTls, cert: agent.certificatePem, key },
    await tlsOf('operator'),
    { ...stranger, ca: hubTls.ca, authorities: hubTls.authorities },
  ];
  const asked = links.get('north')?.asked.length;
  for (const tls of peers) await assert.rejects(open(dialerWith(tls), 'north'), UnreachableError);
  assert.equal(links.get('north')?.asked.length, asked);
});

test('a hub is known by its certificate: another part of the region is not taken for one', async () => {
  const held = hubTls;
  hubTls = await tlsOf('access');
  const impostor = await startHub('c', ['north'], () => '');
  hubTls = held;
  await assert.rejects(open(dialerWith(accessTls), 'north', impostor), UnreachableError);
});

test('what is no session request is refused', async () => {
  const dialer = dialerWith(accessTls);
  const session = { ...request, kind: 'other' } as unknown as SessionRequest;
  await assert.rejects(
    dialer.open({ address: addressA, cloudlet: 'north', session, deadlineMs: 20_000 }, signal),
    /not a session request/,
  );
});
