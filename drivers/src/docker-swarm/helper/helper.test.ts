import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, suite, test } from 'node:test';
import { FakeClock, silentLogger, systemClock } from '@cloudlet/runtime/base';
import { Engine } from '../engine.ts';
import { execInContainer } from '../sessions/exec.ts';
import { isAllowed } from './rules.ts';
import { type HelperTls, type NodeHelper, serveNodeHelper } from './server.ts';

const never = new AbortController().signal;

suite("a node's helper", () => {
  const folder = mkdtempSync(join(tmpdir(), 'helper-'));
  const socketPath = join(folder, 'engine.sock');
  const asked: string[] = [];
  let engine: Server;
  let helper: NodeHelper;
  let site: Record<'agent' | 'node' | 'stranger', HelperTls>;

  before(async () => {
    site = certificates(folder);
    engine = scriptedEngine(asked);
    await new Promise<void>((resolve) => engine.listen(socketPath, resolve));
    const options = { socketPath, host: '127.0.0.1', port: 0, logger: silentLogger };
    helper = await serveNodeHelper({ ...options, tls: site.node });
  });
  after(async () => {
    await helper.close();
    engine.closeAllConnections();
    engine.close();
    rmSync(folder, { recursive: true });
  });

  const as = (tls: HelperTls): Engine =>
    new Engine({ remote: { host: '127.0.0.1', port: helper.port, tls }, clock: systemClock });

  test('hands on what is allowed', async () => {
    assert.deepEqual(await as(site.agent).volumes({ label: ['a=b'] }), [{ Name: 'data' }]);
  });

  test('refuses the rest before the engine sees it', async () => {
    asked.length = 0;
    await assert.rejects(as(site.agent).services({}), /does not let this through/);
    assert.deepEqual(asked, []);
  });

  test('a program gets its input, and its output comes back after the input ended', async () => {
    const target = { kind: 'exec' as const, argv: ['cat'], stdin: true, tty: true };
    const session = await execInContainer(as(site.agent), 'c1', target, never);
    session.stdin?.end('ping');
    assert.equal(await text(session.stdout), 'echo:ping');
    assert.deepEqual(await session.exit, { code: 7 });
  });

  test('a peer without a certificate of the site is refused', async () => {
    asked.length = 0;
    await assert.rejects(as(site.stranger).volumes({}), { reason: 'EngineUnreachable' });
    assert.deepEqual(asked, []);
  });

  test("a node is no agent: its certificate opens no other node's helper", async () => {
    asked.length = 0;
    await assert.rejects(as(site.node).volumes({}), /does not let this through/);
    const target = { kind: 'exec' as const, argv: ['cat'], stdin: true, tty: true };
    await assert.rejects(execInContainer(as(site.node), 'c1', target, never));
    assert.deepEqual(asked, []);
  });

  test('a helper that drains lets nobody in, and a session go on to its end', async () => {
    const clock = new FakeClock();
    const options = { socketPath, host: '127.0.0.1', port: 0, logger: silentLogger };
    const draining = await serveNodeHelper({ ...options, tls: site.node });
    const remote = { host: '127.0.0.1', port: draining.port, tls: site.agent };
    const target = { kind: 'exec' as const, argv: ['cat'], stdin: true, tty: true };
    const session = await execInContainer(
      new Engine({ remote, clock: systemClock }),
      ...(['c1', target, never] as const),
    );
    const drained = draining.drain(clock, 1_000);
    await assert.rejects(new Engine({ remote, clock: systemClock }).volumes({}), {
      reason: 'EngineUnreachable',
    });
    session.stdin?.end('late');
    assert.equal(await text(session.stdout), 'echo:late');
    await drained;
    assert.equal(clock.now(), new FakeClock().now());
  });

  test('a session that does not end is cut when the time to drain is over', async () => {
    const clock = new FakeClock();
    const options = { socketPath, host: '127.0.0.1', port: 0, logger: silentLogger };
    const draining = await serveNodeHelper({ ...options, tls: site.node });
    const remote = { host: '127.0.0.1', port: draining.port, tls: site.agent };
    const target = { kind: 'exec' as const, argv: ['cat'], stdin: true, tty: true };
    const session = await execInContainer(
      new Engine({ remote, clock: systemClock }),
      ...(['c1', target, never] as const),
    );
    const drained = draining.drain(clock, 1_000);
    await clock.advance(1_000);
    await drained;
    assert.ok('reason' in (await session.exit));
  });

  test('an engine whose socket is gone is told', async () => {
    const lost = Promise.withResolvers<void>();
    const options = { host: '127.0.0.1', port: 0, logger: silentLogger, tls: site.node };
    const socket = { socketPath: join(folder, 'gone.sock'), onEngineLost: lost.resolve };
    const blind = await serveNodeHelper({ ...options, ...socket });
    const remote = { host: '127.0.0.1', port: blind.port, tls: site.agent };
    const engine = new Engine({ remote, clock: systemClock });
    await assert.rejects(engine.volumes({}), /the engine does not answer/);
    await lost.promise;
    await blind.close();
  });

  test('an agent is no helper: what it serves is not believed', async () => {
    const options = { socketPath, host: '127.0.0.1', port: 0, logger: silentLogger };
    const impostor = await serveNodeHelper({ ...options, tls: site.agent });
    const remote = { host: '127.0.0.1', port: impostor.port, tls: site.agent };
    const deceived = new Engine({ remote, clock: systemClock });
    await assert.rejects(deceived.volumes({}), /no helper of a node/);
    await impostor.close();
  });
});

test('nothing that makes, starts or stops a container is let through', () => {
  for (const [method, path] of [
    ['POST', '/containers/create'],
    ['POST', '/containers/c1/start'],
    ['POST', '/containers/c1/stop'],
    ['DELETE', '/containers/c1'],
    ['POST', '/containers/../images/create/exec/../../exec'],
    ['GET', '/containers/c1/json'],
    ['POST', '/swarm/leave'],
    ['GET', '/volumes/../secrets'],
  ])
    assert.equal(isAllowed(method, path), false, `${method} ${path}`);
  assert.equal(isAllowed('POST', '/containers/c1/exec'), true);
  assert.equal(isAllowed('DELETE', '/volumes/data?force=1'), true);
});

/** An engine that lists one volume and runs one program, which answers when its input has ended. */
function scriptedEngine(asked: string[]): Server {
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    asked.push(`${method} ${url.split('?')[0]}`);
    request.resume();
    const answers: Record<string, unknown> = {
      'GET /volumes': { Volumes: [{ Name: 'data' }] },
      'POST /containers/c1/exec': { Id: 'e1' },
      'GET /exec/e1/json': { ExitCode: 7 },
    };
    const answer = answers[asked.at(-1) ?? ''];
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(answer ?? { message: 'no such thing' }));
  });
  server.on('upgrade', (request, socket: Socket, head: Buffer) => {
    const length = Number(request.headers['content-length'] ?? 0);
    const head101 = ['HTTP/1.1 101 UPGRADED', 'Connection: Upgrade', 'Upgrade: tcp', '', ''];
    socket.write(head101.join('\r\n'));
    socket.on('error', () => undefined); // the session was cut
    const read: Buffer[] = [head];
    socket.on('data', (chunk: Buffer) => read.push(chunk));
    socket.once('end', () => socket.end(`echo:${Buffer.concat(read).subarray(length).toString()}`));
  });
  return server;
}

/** An authority with an agent and a node, and a stranger who has made all of it for himself. */
function certificates(folder: string): Record<'agent' | 'node' | 'stranger', HelperTls> {
  const at = (name: string): string => join(folder, name);
  const openssl = (...args: string[]): void =>
    void execFileSync('openssl', args, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const authority = (name: string): void =>
    openssl(
      ...['req', '-x509', ...newKey, '-subj', `/CN=${name}`],
      ...['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)],
    );
  const issue = (ca: string, name: string, subject: string): HelperTls => {
    openssl(
      ...['req', '-x509', ...newKey, '-subj', `/CN=${subject}`],
      ...['-CA', at(`${ca}.pem`), '-CAkey', at(`${ca}.key`)],
      ...['-addext', 'basicConstraints=critical,CA:FALSE'],
      ...['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)],
    );
    const read = (file: string): string => readFileSync(at(file), 'utf8');
    return { key: read(`${name}.key`), cert: read(`${name}.pem`), ca: read('site.pem') };
  };
  authority('site');
  authority('other');
  return {
    agent: issue('site', 'agent', 'edge:agent'),
    node: issue('site', 'node', 'edge:node'),
    stranger: issue('other', 'stranger', 'edge:agent'),
  };
}
