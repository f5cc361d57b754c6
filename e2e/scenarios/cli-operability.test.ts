/**
 * What people who run a region ask it: what is wrong, what happened, who did it, what is used. On a real
 * control plane, by the plugin as it is shipped.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runCommand } from '@cloudlet/runtime/base';
import { type Collector, startCollector, until } from '../testbed/index.ts';
import { accountKubeconfig } from '../testbed/region/install.ts';
import { type CliWorld, openCliWorld, shopFile } from './cli-world.ts';
import { scriptedPodUnavailable, startScriptedPod } from './scripted-pod.ts';

let world: CliWorld;
let collector: Collector;
let dir: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'operability-'));
  collector = await startCollector(dir);
  const args = ['--otlp-endpoint', collector.endpoint];
  world = await openCliWorld({
    controlPlane: { audit: true },
    region: { args: { operator: args, hub: args, access: args } },
  });
});

after(async () => {
  await world?.[Symbol.asyncDispose]();
  await collector?.[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

interface Diagnosis {
  readonly problems: number;
  readonly unknown: number;
  readonly findings: readonly {
    readonly severity: string;
    readonly reason: string;
    readonly object: string;
    readonly message: string;
    readonly remedy: string;
  }[];
}

async function diagnosis(...args: readonly string[]): Promise<Diagnosis & { code: number }> {
  const { stdout, stderr, code } = await world.cloudlet(['doctor', ...args, '-o', 'json']);
  assert.ok(stdout.startsWith('{'), stderr);
  return { ...(JSON.parse(stdout) as Diagnosis), code };
}

const tells = ({ findings }: Diagnosis): readonly string[] =>
  findings.map(({ severity, reason, object }) => `${severity} ${reason}: ${object}`);

test('a doctor finds a region that is well but for sites that nobody joined', async () => {
  const found = await diagnosis();
  assert.deepEqual(tells(found), [
    'Problem NeverConnected: Cloudlet north',
    'Problem NeverConnected: Cloudlet south',
  ]);
  assert.equal(found.code, 1);
  const { stdout } = await world.cloudlet(['join', 'north']);
  await world.join(stdout);
  const north = await diagnosis('cloudlet', 'north');
  assert.deepEqual([tells(north), north.code], [[], 0]);
});

test('a doctor names an instance that fits nowhere, what is missing, and who may not look', async () => {
  const { kubectl } = world.controlPlane;
  await kubectl(['apply', '-f', '-'], { input: shopFile({ image: 'shop:1' }) });
  await kubectl(['wait', '--for=condition=Ready', '--timeout=60s', 'appinst/shop'], {
    timeoutMs: 70_000,
  });
  const spec = { appRef: { name: 'shop' }, cloudletRef: { name: 'south' } };
  await world.apply('AppInst', { name: 'lost' }, spec);
  await kubectl(['delete', 'validatingadmissionpolicy', 'cloudlet-use-clusters']);
  await until('the doctor to see both', 20_000, async () => {
    const lines = tells(await diagnosis());
    assert.ok(
      lines.some((line) => /^Problem \w+: AppInst default\/lost$/.test(line)),
      lines.join(),
    );
    assert.ok(
      lines.includes('Problem NotInstalled: ValidatingAdmissionPolicy cloudlet-use-clusters'),
    );
  });
  const kubeconfig = join(world.dir, 'nobody.kubeconfig');
  await writeFile(kubeconfig, await accountKubeconfig(world.controlPlane, 'default', 'default'));
  const { stdout, code } = await world.cloudlet(['doctor'], { kubeconfig });
  assert.match(stdout, /^UNKNOWN {2}kinds, .*\n {4}You may not .*list cloudlets, /);
  assert.deepEqual([code, /PROBLEM/.test(stdout)], [0, false]);
});

test('events of all namespaces are told in order, and those of an organization alone', async () => {
  const all = await until('the event of the placement', 10_000, async () => {
    const { stdout } = await world.cloudlet(['events', '--since', '10m']);
    assert.match(stdout, /AppInst default\/shop/);
    return stdout;
  });
  assert.match(all, /Normal +Ready +Cloudlet north/);
  const ages = all
    .split('\n')
    .slice(1, -1)
    .map((line) => Number.parseInt(line, 10));
  assert.deepEqual(
    ages,
    ages.toSorted((a, b) => b - a),
  );
  const campus = await world.cloudlet(['events', '--org', 'campus', '-o', 'json']);
  const kinds = campus.stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { regarding: { kind: string } }).regarding.kind);
  assert.deepEqual(new Set(kinds), new Set(['Cloudlet']));
  const none = await world.cloudlet(['events', '--org', 'nobody']);
  assert.equal(none.stdout, 'No events.\n');
});

test('top shows what the instance reserves at its site', async () => {
  const { stdout, stderr } = await world.cloudlet(['top', '-A']);
  assert.match(stdout, /^north +100m of \S+ \(\d+%\) +64Mi of \S+ \(\d+%\) +1 +/m, stderr);
  assert.match(stdout, /^default +shop +north +100m +64Mi +1\/1 +0$/m);
});

test('the audit log tells who changed what, who opened what and who read a join', async () => {
  const patch = [
    '--type',
    'merge',
    '-p',
    '{"spec":{"resourceQuotas":[{"name":"vcpus","value":"4"}],"maintenance":"Drain"}}',
  ];
  const { kubectl, auditLog = '' } = world.controlPlane;
  await kubectl([
    'patch',
    'cloudlet',
    'south',
    ...patch.slice(0, 3),
    '{"spec":{"maintenance":"Normal"}}',
  ]);
  await kubectl([
    'patch',
    'cloudlet',
    'south',
    ...patch,
    '--as',
    'jane',
    '--as-group',
    'system:masters',
  ]);
  const session = await world.cloudlet(['exec', 'shop', '--', 'echo', 'hush']);
  assert.equal(session.code, 0, session.stderr);
  const audit = (...args: readonly string[]) =>
    world.cloudlet(['audit', '--file', auditLog, ...args]).then(({ stdout, stderr }) => {
      assert.equal(stderr, '');
      return stdout;
    });
  await until('the end of the session in the log', 10_000, async () => {
    assert.match(
      await audit('--object', 'appinst/default/shop'),
      /kubernetes-admin +opened exec +AppInst default\/shop +ok +echo for \d+ s/,
    );
  });
  const south = await audit('--object', 'cloudlet/south', '--org', 'campus');
  assert.match(
    south,
    /kubernetes-admin +patch +Cloudlet south +ok +spec\.maintenance: Drain -> Normal/,
  );
  assert.match(
    south,
    /jane \(by kubernetes-admin\) +patch +Cloudlet south +ok +.*spec\.maintenance: Normal -> Drain/,
  );
  assert.match(
    await audit('--user', 'kubernetes-admin'),
    /kubernetes-admin +get +Secret cloudlet-system\/join-north +ok/,
  );
  assert.doesNotMatch(await audit(), /hush/);
});

test('a change is one trace from the apply over the tunnel to Ready, whoever did a part of it', async () => {
  const ofShop = () =>
    collector.spans().filter(({ attributes }) => attributes['cloudlet.appinst.name'] === 'shop');
  const spans = await until('the root of the trace', 20_000, () => {
    assert.ok(ofShop().some(({ name }) => name === 'change of an AppInst'));
    assert.ok(ofShop().some(({ name }) => name === 'hub: write status'));
    return ofShop();
  });
  const root = spans.find(({ parentSpanId }) => parentSpanId === '');
  assert.ok(root);
  const trace = spans.filter(({ traceId }) => traceId === root.traceId);
  assert.ok(trace.every((span) => span === root || span.parentSpanId === root.spanId));
  const parts = [
    ['cloudlet-operator', 'operator: place and pin'],
    ['cloudlet-hub', 'hub: render and send plan'],
    ['cloudlet-agent', 'agent: store'],
    ['cloudlet-agent', 'agent: queue'],
    ['cloudlet-agent', 'agent: apply'],
    ['cloudlet-agent', 'agent: start'],
    ['cloudlet-hub', 'hub: write status'],
    ['cloudlet-operator', 'operator: sum up'],
  ] as const;
  let earliest = -Infinity;
  for (const [service, name] of parts) {
    const part = trace.findLast((span) => span.name === name);
    assert.equal(part?.service, service, `${name} of ${trace.map((span) => span.name).join(', ')}`);
    assert.ok(part.start >= earliest - 1, `${name} starts in its turn`);
    assert.ok(part.start >= root.start - 1 && part.end <= root.end + 1_000, name);
    earliest = part.start;
  }
});

test('events and sessions reach the collector, and no argument of a program', async () => {
  await until('the session and an event', 20_000, () => {
    const opened = collector
      .logs()
      .find(({ eventName }) => eventName === 'cloudlet.session.opened');
    assert.equal(opened?.attributes['process.command'], 'echo');
    assert.equal(opened.body, 'kubernetes-admin opened exec on appinst default/shop');
    const event = collector
      .logs()
      .find(({ attributes }) => attributes['k8s.object.name'] === 'default/shop');
    assert.equal(event?.service, 'cloudlet-operator');
  });
  assert.doesNotMatch(collector.text(), /hush/);
  assert.deepEqual(collector.complaints(), []);
});

const canary = 'canary-7d20b1-do-not-show';

const noPod = scriptedPodUnavailable() ?? false;

test(
  'a support bundle holds logs and metrics of pods, without secrets',
  { skip: noPod },
  async () => {
    const said = (what: string): string => `{"level":"info","message":"${what}"}\n`;
    await using _pod = await startScriptedPod({
      controlPlane: world.controlPlane,
      ...{ dir: join(world.dir, 'region'), name: 'cloudlet-access-0', restarts: 1 },
      log: `${said('started again')}{"authorization":"Bearer ${canary}"}\n`,
      previousLog: said('the end'),
      metrics: 'edge_access_sessions 3\n',
    });
    const texts = await bundleTexts('pods');
    assert.match(texts.get('cloudlet-access-0.log') ?? '', /started again/);
    assert.equal(texts.get('cloudlet-access-0.previous.log'), said('the end'));
    assert.equal(texts.get('cloudlet-access-0.txt'), 'edge_access_sessions 3\n');
    assert.doesNotMatch(texts.get('not-read.txt') ?? '', /cloudlet-access-0/);
    for (const [name, text] of texts) assert.ok(!text.includes(canary), `${name} holds a secret`);
  },
);

test(
  'a pod that does not answer is named in the bundle, and fails nothing',
  { skip: noPod },
  async () => {
    await using _pod = await startScriptedPod({
      controlPlane: world.controlPlane,
      ...{ dir: join(world.dir, 'region'), name: 'cloudlet-hub-0', restarts: 0 },
      ...{ log: '', previousLog: '', metrics: '' },
    });
    const { kubectl } = world.controlPlane;
    const nowhere = JSON.stringify({
      status: { daemonEndpoints: { kubeletEndpoint: { Port: 1 } } },
    });
    const patch = ['patch', 'node', 'cloudlet-hub-0', '--subresource=status', '--type=merge'];
    await kubectl([...patch, '-p', nowhere]);
    const texts = await bundleTexts('no-pod');
    assert.match(texts.get('not-read.txt') ?? '', /^log of cloudlet-hub-0: /m);
    assert.doesNotMatch(texts.get('not-read.txt') ?? '', /previous/);
    assert.ok(texts.has('doctor.txt'));
  },
);

/** Makes a bundle and unpacks it. @returns its files by their names. */
async function bundleTexts(name: string): Promise<ReadonlyMap<string, string>> {
  const archive = join(dir, `${name}.tar.gz`);
  const made = await world.cloudlet(['support-bundle', '-o', archive]);
  assert.equal(made.code, 0, made.stderr);
  assert.equal((await stat(archive)).mode & 0o777, 0o600);
  const out = join(dir, name);
  await mkdir(out);
  await runCommand('tar', ['-xzf', archive, '-C', out]);
  const entries = await readdir(out, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const texts = files.map(
    async (file) => [file.name, await readFile(join(file.parentPath, file.name), 'utf8')] as const,
  );
  return new Map(await Promise.all(texts));
}

test('a support bundle holds what a helper needs and no secret', async () => {
  const { kubectl } = world.controlPlane;
  const app = {
    ...{ version: '1', deployment: 'Docker', defaultFlavorRef: { name: 'small' } },
    ...{ image: 'web:1', command: ['serve'], args: [`--key=${canary}`] },
    env: [
      { name: 'PLAIN', value: canary },
      { name: 'TOKEN', secretKeyRef: { name: 'keys', key: 'token' } },
    ],
    files: [{ path: '/etc/key', content: canary }],
  };
  await kubectl(['create', 'secret', 'generic', 'keys', `--from-literal=token=${canary}`]);
  await world.apply('App', { name: 'secretive' }, app);
  const env = [{ name: 'OWN', value: canary }];
  const spec = { appRef: { name: 'secretive' }, cloudletRef: { name: 'north' }, env };
  await world.apply('AppInst', { name: 'secretive', annotations: { note: canary } }, spec);
  const { stdout: joined } = await world.cloudlet(['join', 'south']);
  const { token } = JSON.parse(joined) as { token: string };
  const texts = await bundleTexts('bundle');
  for (const name of ['doctor.txt', 'AppInst.json', 'events.json', 'leases.json', 'not-read.txt'])
    assert.ok(texts.has(name), `${name} of ${[...texts.keys()].join(', ')}`);
  assert.match(texts.get('App.json') ?? '', /"name": "secretive"/);
  assert.match(texts.get('versions.json') ?? '', /"gitVersion": "v1\./);
  for (const secret of [canary, Buffer.from(canary).toString('base64'), token])
    for (const [name, text] of texts) assert.ok(!text.includes(secret), `${name} holds a secret`);
  // What it was made of does hold it.
  assert.match(
    await kubectl(['get', 'app,appinst', 'secretive', '-o', 'json']),
    new RegExp(canary),
  );
  const audited = await readFile(world.controlPlane.auditLog ?? '', 'utf8');
  for (const secret of [Buffer.from(canary).toString('base64'), token, joined.trim()])
    assert.ok(!audited.includes(secret), 'the audit log holds the body of a Secret');
  const again = await world.cloudlet(['support-bundle', '-o', join(dir, 'bundle.tar.gz')]);
  assert.deepEqual([again.code, again.stderr.includes('cannot write')], [1, true]);
});
