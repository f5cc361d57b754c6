/**
 * The API as a person meets it: every fixture of `crds/testdata` through `kubectl`, which must agree with zod,
 * and what `kubectl get` and `kubectl explain` show.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { describeError } from '@cloudlet/runtime/base';
import { fixtures } from '@cloudlet/crds/fixtures';
import { kinds } from '@cloudlet/crds';
import { type ControlPlane, controlPlaneForTest, repositoryRoot } from '../testbed/index.ts';
import { kindsServed } from '../testbed/region/install.ts';

let dir: string;
let region: ControlPlane;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crds-'));
  region = await controlPlaneForTest(dir);
  await region.kubectl(['apply', '--server-side', '-f', join(repositoryRoot, 'crds/manifests')]);
  await kindsServed(region);
});

after(async () => {
  await region.stop();
  await rm(dir, { recursive: true, force: true });
});

const dryRun = (object: unknown): Promise<string> =>
  region.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], {
    input: JSON.stringify(object),
  });

for (const fixture of await fixtures('accept'))
  test(`the API server accepts ${fixture.name}`, async () => {
    assert.match(await dryRun(fixture.object), /created \(server dry run\)/);
  });

for (const fixture of await fixtures('reject'))
  test(`the API server refuses ${fixture.name} and names the field`, async () => {
    const refusal = await dryRun(fixture.object).then(
      () => 'accepted',
      (error: unknown) => describeError(error),
    );
    assert.ok(refusal.includes(fixture.field ?? ''), refusal);
    assert.ok(refusal.includes(fixture.expect ?? ''), refusal);
  });

test('an unknown field is refused by name', async () => {
  const zone = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind: 'Zone', metadata: { name: 'a' } };
  await assert.rejects(
    dryRun({ ...zone, spec: { operator: 'campus', colour: 'red' } }),
    /unknown field "spec.colour"/,
  );
});

test('an object that nobody has looked at says so', async () => {
  const named = { apiVersion: 'edge.cloudlet.dev/v1alpha1', metadata: { name: 'unseen' } };
  const input = JSON.stringify({ ...named, kind: 'Zone', spec: { operator: 'campus' } });
  await region.kubectl(['create', '-f', '-'], { input });
  const zone = await region.kubectl(['get', 'zone', 'unseen', '-o', 'jsonpath={.status}']);
  await region.kubectl(['delete', 'zone', 'unseen', '--wait=false']);
  assert.equal(zone, '{"observedGeneration":-1}');
});

test('what cannot be changed is refused with a sentence', async () => {
  const flavor = {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'Flavor',
    metadata: { name: 'crds-test' },
  };
  const apply = (vcpus: string) =>
    region.kubectl(['apply', '-f', '-'], {
      input: JSON.stringify({ ...flavor, spec: { vcpus, memory: '1Gi' } }),
    });
  await apply('1');
  try {
    await assert.rejects(apply('2'), /a Flavor cannot be changed: make another and refer to that/);
  } finally {
    await region.kubectl(['delete', 'flavor', 'crds-test', '--wait=false']);
    await region
      .kubectl([
        'patch',
        'flavor',
        'crds-test',
        '--type=merge',
        '-p',
        '{"metadata":{"finalizers":null}}',
      ])
      .catch(() => undefined); // gone already where no operator runs
  }
});

for (const kind of kinds)
  test(`kubectl explain tells of ${kind.kind} and of each of its fields`, async () => {
    const text = await region.kubectl(['explain', `${kind.plural}.spec`]);
    assert.match(text, new RegExp(`KIND:\\s+${kind.kind}\\b`));
    assert.doesNotMatch(text, /<no description>/);
  });

test('kubectl get shows readiness and reason at a glance', async () => {
  for (const plural of ['cloudlets', 'clusters', 'apps', 'appinsts']) {
    const table = JSON.parse(
      await region.kubectl([
        'get',
        '--raw',
        `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${plural}.edge.cloudlet.dev`,
      ]),
    ) as {
      spec: { versions: { additionalPrinterColumns: { name: string; priority?: number }[] }[] };
    };
    const columns = table.spec.versions[0]?.additionalPrinterColumns ?? [];
    const shown = columns.filter((column) => !column.priority).map((column) => column.name);
    assert.ok(shown.includes('Ready') && shown.includes('Reason'), `${plural}: ${shown.join()}`);
  }
});
