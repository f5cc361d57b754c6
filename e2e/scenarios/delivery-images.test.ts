/**
 * What is delivered to sites and regions beside the charts: images and the agent's archive. They are made twice
 * from nothing and must be the same, and they are started as they will be: not root, on a read-only root.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCommand } from '@cloudlet/runtime/base';
import { packAgent } from '../images/agent-archive.ts';
import { ownArchitecture, sizesOf, writeArchive } from '../images/oci.ts';
import {
  billOf,
  type Bundle,
  bundleOf,
  nodeImage,
  productImage,
  version,
} from '../images/product.ts';
import {
  findCommand,
  phonesForTest,
  phonesUnavailable,
  repositoryRoot,
  writeDockerArchive,
} from '../testbed/index.ts';
import { digestOf } from '../testbed/images/image.ts';

const mib = 2 ** 20;
let folder: string;
let agent: Bundle;
let archive: string;
let unpacked: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'delivery-'));
  agent = await bundleOf('agent');
  archive = await packAgent(agent, ownArchitecture, join(folder, 'first'));
  await runCommand('tar', ['-xzf', archive, '-C', folder]);
  unpacked = join(folder, 'cloudlet-agent');
});
after(() => rm(folder, { recursive: true, force: true }));

test('an image made twice from nothing has the same digests', async () => {
  const cached = await productImage(agent, ownArchitecture);
  const again = await productImage(agent, ownArchitecture, { cache: join(folder, 'images') });
  assert.notEqual(again.dir, cached.dir);
  assert.equal(again.configDigest, cached.configDigest);
  const digests = ({ layers }: typeof again) => layers.map(({ digest }) => digest);
  assert.deepEqual(digests(again), digests(cached));
});

test('operator and agent share the layer that holds Node, and are small', async () => {
  const images = {
    operator: await productImage(await bundleOf('operator'), ownArchitecture),
    agent: await productImage(agent, ownArchitecture),
  };
  assert.equal(images.operator.layers[0]?.digest, images.agent.layers[0]?.digest);
  assert.ok((await sizesOf(images.operator)).unpacked <= 200 * mib);
  assert.ok((await sizesOf(images.agent)).unpacked <= 120 * mib);
  assert.ok(statSync(archive).size <= 60 * mib);
});

test('the archive is the same when it is packed again', async () => {
  const again = await packAgent(agent, ownArchitecture, join(folder, 'second'));
  assert.equal(digestOf(again), digestOf(archive));
});

test('the archive runs the agent with its own Node, and hands over a join that is not empty', async () => {
  const start = join(unpacked, 'bin/cloudlet-agent');
  const run = (args: readonly string[], env: Record<string, string> = {}) =>
    runCommand(start, args, { env, timeoutMs: 60_000, allow: [3] });
  assert.equal((await run(['--version'])).stdout, `${version}\n`);
  assert.match((await run(['--help'])).stdout, /--join-file/);
  const state = ['--state-dir', join(folder, 'state'), '--driver', 'fake'];
  const empty = join(folder, 'empty');
  writeFileSync(empty, '');
  const without = await run(state, { CLOUDLET_JOIN_FILE: empty });
  assert.match(without.stdout + without.stderr, /has not joined a region/);
  const garbage = join(folder, 'garbage');
  writeFileSync(garbage, 'no join');
  const wrong = await run(state, { CLOUDLET_JOIN_FILE: garbage });
  assert.match(wrong.stdout + wrong.stderr, /garbage/);
});

test('what the archive says it is made of is there, with its licences', async () => {
  const bill = JSON.parse(readFileSync(join(unpacked, 'sbom.cdx.json'), 'utf8')) as {
    components: { name: string; version: string; purl: string }[];
  };
  assert.equal(
    JSON.stringify(bill),
    JSON.stringify(JSON.parse(await billOf(agent, ownArchitecture))),
  );
  const names = bill.components.map(({ name }) => name);
  for (const name of ['zod', 'prom-client', 'dockerode', 'node', 'libc6'])
    assert.ok(names.includes(name), `${name} in ${names.join(', ')}`);
  assert.ok(!names.includes('@kubernetes/client-node'), 'only what is in the bundle');
  const licenses = readFileSync(join(unpacked, 'licenses/packages.txt'), 'utf8');
  assert.match(licenses, /^zod \d[\d.]* \(MIT\)$/m);
  for (const part of ['node', 'libc6'])
    assert.ok(existsSync(join(unpacked, `licenses/${part}.txt`)), part);
});

test('the OpenRC service is a script that a shell takes', async () => {
  await runCommand('sh', ['-n', join(unpacked, 'openrc/cloudlet-agent.initd')]);
  await runCommand('sh', ['-n', join(unpacked, 'bin/cloudlet-agent')]);
});

test(
  'systemd takes the unit and calls it confined',
  {
    skip: findCommand('systemd-analyze')
      ? false
      : 'systemd-analyze is missing: apt install systemd',
  },
  async () => {
    const text = readFileSync(join(unpacked, 'systemd/cloudlet-agent.service'), 'utf8');
    const unit = join(folder, 'cloudlet-agent.service');
    writeFileSync(unit, text.replaceAll('/opt/cloudlet-agent', unpacked));
    const verified = await runCommand('systemd-analyze', ['verify', '--man=no', unit]);
    assert.equal(verified.stdout + verified.stderr, '');
    const security = ['security', '--offline=true', '--threshold=20', unit];
    await runCommand('systemd-analyze', security);
  },
);

const skip = phonesUnavailable() ?? false;

test(
  'the Dockerfiles build on that base where nothing can be pulled, and run confined',
  { skip, timeout: 600_000 },
  async (t) => {
    const phones = await phonesForTest({ count: 1, prefix: 'dphone', net: '10.79.6' });
    t.after(() => phones.stop());
    const engine = phones.phones[0]!;
    const base = await nodeImage(ownArchitecture);
    const file = join(folder, 'base.tar');
    await writeDockerArchive(base, file);
    await engine.docker(['load', '--quiet', '--input', file], { timeoutMs: 120_000 });
    const confined = ['--rm', '--read-only', '--cap-drop', 'ALL', '--network', 'none'];
    const { folder: operator } = await bundleOf('operator');
    const built = { operator, agent: join(folder, 'agent-context') };
    await cp(agent.folder, built.agent, { recursive: true });
    await mkdir(join(built.agent, 'state'));
    for (const [product, context] of Object.entries(built)) {
      const dockerfile = join(repositoryRoot, product, 'Dockerfile');
      const tag = `cloudlet-${product}:dockerfile`;
      const build = ['build', '--quiet', '--build-arg', `BASE_IMAGE=${base.name}`, '--tag', tag];
      await engine.docker([...build, '--file', dockerfile, context], { timeoutMs: 240_000 });
      const user = await engine.docker(['inspect', '--format', '{{.Config.User}}', tag]);
      assert.equal(user.trim(), '65532:65532');
      const processes = product === 'operator' ? ['operator', 'hub', 'access'] : [undefined];
      for (const name of processes) {
        const args = [...(name === undefined ? [] : [name]), '--help'];
        const help = await engine.docker(['run', ...confined, tag, ...args], { timeoutMs: 60_000 });
        assert.match(help, new RegExp(name === undefined ? 'join-file' : `cloudlet ${name}`));
      }
      await engine.docker(['rmi', tag]);
    }
  },
);

test(
  'the archive of an image is loaded by an engine, and runs confined',
  { skip, timeout: 600_000 },
  async (t) => {
    const phones = await phonesForTest({ count: 1, prefix: 'dphone', net: '10.79.6' });
    const engine = phones.phones[0]!;
    t.after(async () => {
      await engine.docker(['rmi', '--force', image.name]);
      await phones.stop();
    });
    const image = await productImage(agent, ownArchitecture);
    const file = join(folder, 'agent.tar');
    const digest = await writeArchive([image], file);
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    await engine.docker(['load', '--quiet', '--input', file], { timeoutMs: 120_000 });
    const confined = ['--read-only', '--cap-drop', 'ALL', '--network', 'none'];
    const state = ['--volume', '/var/lib/cloudlet-agent'];
    const run = ['run', '--rm', ...confined, ...state, image.name];
    assert.equal(await engine.docker([...run, '--version'], { timeoutMs: 60_000 }), `${version}\n`);
    // It may write where its state goes, and gets as far as asking for its join.
    await assert.rejects(
      engine.docker([...run, '--driver', 'fake'], { timeoutMs: 60_000 }),
      /has not joined a region/,
    );
  },
);
