/**
 * The agent on a 32-bit phone: its bundle under Node 20 for linux/arm/v7, emulated by qemu, joins a real hub
 * and carries out a plan.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileSiteAuthority } from '@cloudlet/agent';
import { bundleAgent } from '@cloudlet/agent/bundle';
import { startAgent } from '@cloudlet/agent/testing';
import { aPlan, eventually, TestRegion } from '@cloudlet/agent/testing';
import { runCommand, silentLogger, systemClock } from '@cloudlet/runtime/base';
import { freePorts } from '../testbed/host.ts';
import { armNode } from '../testbed/images/agent.ts';
import { until } from '../testbed/process.ts';

const qemu = '/usr/bin/qemu-arm-static';
const skip = existsSync(qemu) ? false : `${qemu} is missing: apt install qemu-user-static`;

test('the bundle runs a site on linux/arm/v7', { skip, timeout: 600_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'agent-armv7-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }));
  const { root, node } = await armNode();
  const { entry } = await bundleAgent({ outFolder: join(folder, 'agent'), version: '1.2.3' });
  const emulated = [qemu, '-L', root, node];
  const { stdout } = await runCommand(qemu, [...emulated.slice(1), entry, '--version'], {
    timeoutMs: 120_000,
  });
  assert.equal(stdout, '1.2.3\n');
  await using region = await TestRegion.start();
  const joinFile = join(folder, 'join.json');
  await writeFile(joinFile, region.join(), { mode: 0o600 });
  const state = join(folder, 'state');
  const agent = startAgent({
    node: emulated,
    entry,
    args: [
      ...['--state-dir', state, '--join-file', joinFile, '--driver', 'fake'],
      ...['--health-address', 'off'],
    ],
  });
  t.after(() => agent.stop('SIGKILL'));
  region.place(aPlan());
  await eventually(
    'the report of a healthy instance',
    () => region.condition('Healthy') === 'True Healthy',
    300_000,
  );
  assert.equal(await agent.stop(), 0);
});

test('a node of linux/arm/v7 runs the helper', { skip, timeout: 600_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'helper-armv7-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 20 }));
  const engine = createServer((_, response) => void response.end('{"Volumes":[]}'));
  const socket = join(folder, 'engine.sock');
  await new Promise<void>((resolve) => engine.listen(socket, resolve));
  t.after(() => engine.close());
  const options = { folder: join(folder, 'authority'), clock: systemClock, logger: silentLogger };
  const authority = new FileSiteAuthority(options);
  const ca = await authority.certificate();
  const { key, cert } = await authority.issueNode();
  await mkdir(join(folder, 'authorities'));
  await writeFile(join(folder, 'authorities/one.pem'), ca);
  await writeFile(join(folder, 'tls.pem'), `${cert}\n${key.reveal()}`, { mode: 0o600 });
  const { root, node } = await armNode();
  const { entry } = await bundleAgent({ outFolder: join(folder, 'agent') });
  const [port = 0] = await freePorts(1);
  const helper = startAgent({
    node: [qemu, '-L', root, node],
    entry,
    args: [
      ...['node', '--port', String(port), '--docker-socket', socket],
      ...['--tls-file', join(folder, 'tls.pem'), '--authorities', join(folder, 'authorities')],
    ],
  });
  t.after(() => helper.stop('SIGKILL'));
  const tls = { ca, ...(await authority.agent()), checkServerIdentity: () => undefined };
  const place = { host: '127.0.0.1', port, path: '/volumes', agent: false } as const;
  const answer = await until(
    'the helper to answer',
    300_000,
    () =>
      new Promise<number | undefined>((resolve, reject) => {
        const call = request({ ...place, ...tls }, ({ statusCode }) => resolve(statusCode));
        call.on('error', reject).end();
      }),
  );
  assert.equal(answer, 200);
  assert.equal(await helper.stop(), 0);
});
