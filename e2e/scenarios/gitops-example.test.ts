/**
 * The example repository as kustomize renders it: every object is what the API takes, by zod and by the API
 * server, and every reference leads somewhere in its region. Argo CD itself: `npm run e2e:argocd`.
 */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { mistakesOf, type ObjectMeta } from '@cloudlet/crds';
import { parseAllDocuments } from 'yaml';
import { type ControlPlane, controlPlaneForTest, repositoryRoot } from '../testbed/index.ts';
import { kindsServed } from '../testbed/region/install.ts';

interface Rendered {
  readonly kind: string;
  readonly metadata: Pick<ObjectMeta, 'name' | 'namespace' | 'annotations'>;
  readonly spec: Readonly<Record<string, { readonly name?: string } | undefined>>;
}

const example = join(repositoryRoot, 'examples', 'gitops');
const folders = globSync('regions/*/{platform,apps/*}', { cwd: example }).sort();

let dir: string;
let region: ControlPlane;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gitops-example-'));
  region = await controlPlaneForTest(dir);
  await region.kubectl(['apply', '--server-side', '-f', join(repositoryRoot, 'crds/manifests')]);
  await kindsServed(region);
});
after(async () => {
  await region.stop();
  await rm(dir, { recursive: true, force: true });
});

async function render(folder: string): Promise<readonly Rendered[]> {
  const text = await region.kubectl(['kustomize', join(example, folder)]);
  return parseAllDocuments(text).map((document) => document.toJS() as Rendered);
}

for (const folder of folders)
  test(`the API takes every object of ${folder}`, async () => {
    const objects = await render(folder);
    assert.ok(objects.length > 0);
    for (const object of objects) {
      assert.deepEqual(mistakesOf(object), [], `${object.kind} ${object.metadata.name}`);
      // A server-side dry run wants its namespace to be there; the schema does not care which it is.
      const { namespace, ...metadata } = object.metadata;
      const placed = {
        ...object,
        metadata: { ...metadata, ...(namespace && { namespace: 'default' }) },
      };
      await region.kubectl(['create', '--dry-run=server', '--validate=strict', '-f', '-'], {
        input: JSON.stringify(placed),
      });
    }
  });

test('what is referred to comes in an earlier wave', async () => {
  const order = ['Flavor', 'Zone', 'Cloudlet', 'Cluster', 'App', 'AppInst'];
  for (const folder of folders)
    for (const { kind, metadata } of await render(folder)) {
      const wave = Number(metadata.annotations?.['argocd.argoproj.io/sync-wave']);
      assert.equal(wave, Math.max(0, order.indexOf(kind) - 1), `${folder}: ${kind}`);
    }
});

test('every reference leads somewhere in its region', async () => {
  const regions = new Set(folders.map((folder) => folder.split('/')[1] ?? ''));
  assert.ok(regions.size >= 2);
  for (const name of regions) {
    const own = folders.filter((folder) => folder.split('/')[1] === name);
    const objects = (await Promise.all(own.map(render))).flat();
    for (const { kind, metadata, spec } of objects)
      for (const [field, target] of [
        ['zoneRef', 'Zone'],
        ['cloudletRef', 'Cloudlet'],
        ['clusterRef', 'Cluster'],
        ['appRef', 'App'],
        ['defaultFlavorRef', 'Flavor'],
      ] as const) {
        const wanted = spec[field]?.name;
        if (wanted === undefined) continue;
        const found = objects.some(
          (each) =>
            each.kind === target &&
            each.metadata.name === wanted &&
            (each.metadata.namespace ?? metadata.namespace) === metadata.namespace,
        );
        assert.ok(found, `${name}: ${kind} ${metadata.name}: ${field}: ${wanted}`);
      }
  }
});

test('an app has the name of its namespace, as the ApplicationSet takes it', async () => {
  for (const folder of folders.filter((each) => each.includes('/apps/')))
    for (const { metadata } of await render(folder))
      assert.equal(metadata.namespace, basename(folder));
});
