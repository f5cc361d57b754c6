/**
 * `kubectl cloudlet` as a person uses it: the plugin on kubectl's PATH, a real region, and an agent that it
 * joined with.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { bundlePlugin } from '@cloudlet/cli/bundle';
import { type AgentChild, eventually, startAgent } from '@cloudlet/agent/testing';
import { type CommandResult, runCommand } from '@cloudlet/runtime/base';
import {
  type ControlPlane,
  type Region,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';

let dir: string;
let controlPlane: ControlPlane;
let region: Region;
let plugin: string;
let agent: AgentChild | undefined;

const anyCode = Array.from({ length: 255 }, (_, code) => code + 1);

/** The plugin as a process of its own, since kubectl passes arguments, streams and exit code through. */
function cloudlet(args: readonly string[], input?: string): Promise<CommandResult> {
  return runCommand(process.execPath, [plugin, ...args], {
    env: { KUBECONFIG: controlPlane.kubeconfig },
    allow: anyCode,
    timeoutMs: 120_000,
    ...(input === undefined ? {} : { input }),
  });
}

async function apply(kind: string, metadata: object, spec: object): Promise<void> {
  const object = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind, metadata, spec };
  await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
}

function startSite(joinText: string): AgentChild {
  return startAgent({
    args: [
      ...['--state-dir', join(dir, 'site'), '--driver', 'fake', '--member', 'phone-1'],
      ...['--join-file', '-', '--health-address', 'off'],
    ],
    input: joinText,
  });
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cli-'));
  plugin = await bundlePlugin(join(dir, 'kubectl-cloudlet'));
  controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  region = await startRegion({ controlPlane, dir: join(dir, 'processes') });
  await apply('Zone', { name: 'city' }, { operator: 'campus' });
  for (const [name, spec] of [
    ['north', {}],
    ['south', { maintenance: 'Drain' }],
  ] as const) {
    const zoneRef = { name: 'city' };
    await apply('Cloudlet', { name }, { operator: 'campus', platform: 'Fake', zoneRef, ...spec });
  }
  await apply('Flavor', { name: 'small' }, { vcpus: '100m', memory: '64Mi' });
  const ready = ['wait', '--for=condition=Available', '--timeout=60s'];
  await controlPlane.kubectl([...ready, 'apiservice/v1alpha1.access.edge.cloudlet.dev'], {
    timeoutMs: 70_000,
  });
});

after(async () => {
  await agent?.stop('SIGKILL');
  await region?.stop();
  await controlPlane?.stop();
  await rm(dir, { recursive: true, force: true, maxRetries: 20 });
});

const shop = (workload: object) =>
  [
    {
      apiVersion: 'edge.cloudlet.dev/v1alpha1',
      kind: 'App',
      metadata: { name: 'shop' },
      spec: {
        version: '1',
        deployment: 'Docker',
        defaultFlavorRef: { name: 'small' },
        ...workload,
      },
    },
    {
      apiVersion: 'edge.cloudlet.dev/v1alpha1',
      kind: 'AppInst',
      metadata: { name: 'shop' },
      spec: { appRef: { name: 'shop' }, zoneRef: { name: 'city' } },
    },
  ]
    .map((object) => JSON.stringify(object))
    .join('\n---\n');

test('kubectl finds the plugin and passes flags and exit codes through', async () => {
  const { PATH: path = '' } = process.env;
  const env = { PATH: `${dir}:${dirname(process.execPath)}:${path}` };
  const help = await controlPlane.kubectl(['cloudlet', '--help'], { env });
  assert.match(help, /Usage: kubectl cloudlet COMMAND/);
});

test('a join is printed, good once, and made anew on request', async () => {
  const first = await cloudlet(['join', 'north']);
  assert.equal(first.code, 0, first.stderr);
  const { token, ...rest } = JSON.parse(first.stdout) as Record<string, string>;
  assert.deepEqual([rest['cloudlet'], rest['hub']], ['north', region.hubAddress]);
  const renewed = await cloudlet(['join', 'north', '--renew']);
  assert.equal(renewed.code, 0, renewed.stderr);
  assert.notEqual((JSON.parse(renewed.stdout) as { token: string }).token, token);
  agent = startSite(renewed.stdout);
  await until('Cloudlet north to be Ready', 60_000, async () => {
    await controlPlane.kubectl(['wait', '--for=condition=Ready', '--timeout=5s', 'cloudlet/north']);
  });
  const used = await cloudlet(['join', 'north']);
  assert.equal(used.code, 1);
  assert.match(used.stderr, /was used by the key SHA256:.*kubectl cloudlet join north --renew/);
  const absent = await cloudlet(['join', 'nowhere']);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /^error: .*nowhere/);
});

test('explain names every site of the zone and why not, before anything is applied', async () => {
  const path = join(dir, 'shop.yaml');
  await writeFile(path, shop({ image: 'shop:1' }));
  const { stdout, stderr, code } = await cloudlet(['explain', '-f', path]);
  assert.equal(code, 0, stderr + stdout);
  assert.match(stdout, /default\/shop would run at north/);
  assert.match(stdout, /north +chosen/);
  assert.match(stdout, /south +no +\S+/);
  await writeFile(path, shop({ image: 'shop:1', architectures: ['linux/s390x'] }));
  const none = await cloudlet(['explain', '-f', path]);
  assert.equal(none.code, 1);
  assert.match(none.stdout, /default\/shop fits no site/);
  await assert.rejects(controlPlane.kubectl(['get', 'app', 'shop']), /NotFound/);
});

test('get shows sites and instances with their health', async () => {
  await controlPlane.kubectl(['apply', '-f', '-'], { input: shop({ image: 'shop:1' }) });
  await controlPlane.kubectl(['wait', '--for=condition=Ready', '--timeout=60s', 'appinst/shop'], {
    timeoutMs: 70_000,
  });
  await until('the site to count the instance', 30_000, async () => {
    const { stdout, stderr } = await cloudlet(['get']);
    assert.match(stdout, /^north +Fake +city +Ready +Up \d+\w +3\/3 +3\/3 +1$/m, stderr);
    assert.match(stdout, /^shop +shop +Ready +1\/1 +north/m);
  });
});

test('exec and logs reach the site and end with the code of the program', async () => {
  const echo = await cloudlet(['exec', 'shop', '--', 'echo', 'hello']);
  assert.deepEqual([echo.code, echo.stdout], [0, 'hello\n'], echo.stderr);
  const failing = await cloudlet(['exec', 'shop', '--', 'false']);
  assert.equal(failing.code, 1);
  const cat = await cloudlet(['exec', 'shop', '-i', '--', 'cat'], 'through the site');
  assert.deepEqual([cat.code, cat.stdout], [0, 'through the site'], cat.stderr);
  const logs = await cloudlet(['logs', 'shop', '--tail', '2']);
  assert.deepEqual([logs.code, logs.stdout], [0, 'line 9\nline 10\n'], logs.stderr);
  const shell = await cloudlet(['shell', 'north', '--', 'echo', 'manager']);
  assert.deepEqual([shell.code, shell.stdout], [0, 'manager\n'], shell.stderr);
  const absent = await cloudlet(['exec', 'absent', '--', 'true']);
  assert.equal(absent.code, 1);
  assert.match(absent.stderr, /^error: .*absent/);
  await eventually('the line of who did what', () =>
    agent?.log.some((line) => line['message'] === 'session begins' && line['program'] === 'echo'),
  );
});
