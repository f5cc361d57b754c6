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
  world = await openCliWorld();
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
