/**
 * What people who run a region ask it: what is wrong, what happened, who did it, what is used. On a real
 * control plane, by the plugin as it is shipped.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '../testbed/index.ts';
import { accountKubeconfig } from '../testbed/region/install.ts';
import { type CliWorld, openCliWorld, shopFile } from './cli-world.ts';

let world: CliWorld;

before(async () => {
  world = await openCliWorld({ controlPlane: { audit: true } });
});

after(() => world?.[Symbol.asyncDispose]());

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
