/**
 * The agent on a 32-bit phone: its bundle under Node 20 for linux/arm/v7, emulated by qemu, joins a real hub
 * and carries out a plan.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundleAgent } from '@cloudlet/agent/bundle';
import { startAgent } from '@cloudlet/agent/testing';
import { aPlan, eventually, TestRegion } from '@cloudlet/agent/testing';
import { runCommand } from '@cloudlet/runtime/base';
import { armNode } from '../testbed/images/agent.ts';

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
