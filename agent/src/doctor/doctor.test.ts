import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createAuthority, issueServer } from '@cloudlet/tunnel';
import { silentLogger } from '@cloudlet/runtime/base';
import { Documents, systemDisk } from '../store/index.ts';
import { type Finding, main } from './main.ts';

async function aFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'agent-doctor-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o700);
  return folder;
}

async function document(folder: string, name: string, text: string): Promise<void> {
  const documents = new Documents(join(folder, name), systemDisk, silentLogger);
  await documents.open(() => undefined);
  await documents.write(name, text);
}

/** An engine that says this of itself. */
async function anEngine(t: TestContext, folder: string, swarm: object): Promise<string> {
  const path = join(folder, 'docker.sock');
  const server = createServer((request, response) => {
    const body = request.url === '/info' ? { ServerVersion: '27.1', Swarm: swarm } : [];
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => server.close());
  return path;
}

interface Hub {
  readonly address: string;
  readonly pin: string;
}

/** What answers TLS with a hub's certificate of an authority of its own. */
async function aHub(t: TestContext): Promise<Hub> {
  const now = Date.now();
  const authority = await createAuthority({ now });
  const { certificatePem, keyPem } = await issueServer(authority, {
    role: 'hub',
    hosts: ['127.0.0.1'],
    now,
  });
  const server = createTlsServer(
    {
      cert: [certificatePem, authority.certificatePem].join('\n'),
      key: keyPem.reveal(),
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
    },
    (socket) => socket.on('error', () => socket.destroy()).resume(),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, pin: authority.pin };
}

async function examined(...args: readonly string[]): Promise<Record<string, string>> {
  let text = '';
  await main([...args, '--output', 'json'], {}, (more) => (text += more));
  return Object.fromEntries(
    (JSON.parse(text) as Finding[]).map(({ check, judgement }) => [
      check,
      `${judgement.kind}: ${judgement.message}`,
    ]),
  );
}

const joinText = (hub: Hub, pin = hub.pin): string =>
  JSON.stringify({ cloudlet: 'north', hub: hub.address, enroll: hub.address, caPin: pin });

test('a machine on which all is well has no problem, and its state is not touched', async (t) => {
  const folder = await aFolder(t);
  const hub = await aHub(t);
  await document(folder, 'join', joinText(hub));
  const socket = await anEngine(t, folder, { LocalNodeState: 'active', ControlAvailable: true });
  await writeFile(join(folder, 'join', 'join.next'), 'the agent writes this now');
  const found = await examined('--state-dir', folder, '--docker-socket', socket);
  assert.match(found['state folder'] ?? '', /^ok: .* free$/);
  assert.match(found['join'] ?? '', /^ok: Cloudlet north/);
  assert.match(found['hub'] ?? '', /^ok: .* is the region$/);
  assert.match(found['enrolment'] ?? '', /^ok: /);
  assert.match(found['engine'] ?? '', /^ok: engine 27\.1, a manager of its swarm$/);
  assert.match(found['certificate'] ?? '', /^warning: There is no certificate yet/);
  assert.match(await readFile(join(folder, 'join', 'join.next'), 'utf8'), /writes this now/);
});

test('another authority than that of the join is told, as where TLS is opened on the way', async (t) => {
  const folder = await aFolder(t);
  const hub = await aHub(t);
  await document(folder, 'join', joinText(hub, '0'.repeat(64)));
  const found = await examined('--state-dir', folder, '--driver', 'fake');
  assert.match(found['hub'] ?? '', /^problem: .*its authority has another key/);
});

test('a hub that nobody answers for, a worker, and a clock of the past are told', async (t) => {
  const folder = await aFolder(t);
  const nobody = { address: '127.0.0.1:1', pin: '0'.repeat(64) };
  await document(folder, 'join', joinText(nobody));
  const later = Date.now() + 3_600_000;
  const record = { active: false, complete: false, lastGoodTime: later };
  await document(folder, 'site', JSON.stringify(record));
  const socket = await anEngine(t, folder, { LocalNodeState: 'active', ControlAvailable: false });
  const found = await examined('--state-dir', folder, '--docker-socket', socket);
  assert.match(found['hub'] ?? '', /^problem: .*cannot connect to 127\.0\.0\.1:1/);
  assert.match(found['engine'] ?? '', /^problem: The engine is a worker/);
  assert.match(found['clock'] ?? '', /^problem: .* 60 minutes later already/);
});

test('a machine that never joined is told how to, and the exit code says that there is a problem', async (t) => {
  const folder = await aFolder(t);
  await mkdir(join(folder, 'state'), { mode: 0o755 });
  let text = '';
  const args = ['--state-dir', join(folder, 'state'), '--docker-socket', join(folder, 'none')];
  assert.equal(await main(args, {}, (more) => (text += more)), 1);
  assert.match(text, /^WARNING {2}state folder: .* is open to other users\n {9}=> chmod 700/m);
  assert.match(text, /^PROBLEM {2}join: This machine has not joined/m);
  assert.match(text, /^PROBLEM {2}engine: The engine does not answer at/m);
  assert.match(text, /kubectl cloudlet join NAME/);
});
