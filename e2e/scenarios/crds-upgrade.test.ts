/**
 * The kinds of an earlier version give way to those of this one while objects are stored: on an API server of
 * its own, since others use the kinds meanwhile.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { kinds } from '@cloudlet/crds';
import { fixtures } from '@cloudlet/crds/fixtures';
import { describeError } from '@cloudlet/runtime/base';
import { parse } from 'yaml';
import {
  type ControlPlane,
  expect,
  repositoryRoot,
  startControlPlane,
  until,
} from '../testbed/index.ts';
import { kindsServed } from '../testbed/region/install.ts';

let dir: string;
let region: ControlPlane;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'crds-upgrade-'));
  region = await startControlPlane({ dir: join(dir, 'controlplane') });
});
after(async () => {
  await region?.stop();
  await rm(dir, { recursive: true, force: true });
});

const apply = (object: object): Promise<string> =>
  region.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
    input: JSON.stringify(object),
  });
const applyFolder = async (path: string): Promise<void> => {
  const all = ['apply', '--server-side', '--force-conflicts'];
  await region.kubectl([...all, '-f', join(repositoryRoot, path)]);
  await kindsServed(region);
};

interface Stored {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly uid: string; readonly generation: number };
  readonly spec: unknown;
  readonly status?: unknown;
}

const plurals = kinds.map(({ plural }) => plural).join(',');

async function stored(): Promise<readonly Stored[]> {
  const list = await region.kubectl(['get', plurals, '--all-namespaces', '-o', 'json']);
  return (JSON.parse(list) as { items: Stored[] }).items.map(
    ({ kind, metadata: { name, uid, generation }, spec, status }) => ({
      ...{ kind, metadata: { name, uid, generation }, spec },
      ...(status === undefined ? {} : { status }),
    }),
  );
}

test('what was stored under the released kinds is there and can be changed under these', async () => {
  await applyFolder('crds/released');
  const accepted = (await fixtures('accept')).map(({ object }) => object as Stored);
  let taken = 0;
  for (const object of accepted)
    // A fixture may show a field that is younger than the release.
    taken += await apply(object).then(
      () => 1,
      () => 0,
    );
  const before = await stored();
  assert.ok(taken > accepted.length / 2, `${taken} of ${accepted.length} were accepted before`);
  assert.equal(before.length, taken);
  await applyFolder('crds/manifests');
  assert.deepEqual(await stored(), before);
  const label = ['label', plurals, '--all', '--all-namespaces', 'upgraded=yes'];
  const out = await region.kubectl(label);
  assert.equal(out.match(/ labeled$/gm)?.length, taken, out);
  for (const object of accepted) await apply(object);
});

const beyond = 2 ** 50;

/** A status with a value that the kinds refuse since they have a bound. */
const statusWith = (sequence: number, message: string): object => ({
  ...{ apiVersion: 'edge.cloudlet.dev/v1alpha1', kind: 'AppInst' },
  metadata: { name: 'kept', namespace: 'default' },
  status: {
    site: { uid: 'u', boot: 'b', sequence: 1, placement: sequence },
    progress: { task: 'Pulling', step: 1, of: 2, message },
  },
});
const applyStatus = (status: object): Promise<string> =>
  region.kubectl(
    ['apply', '--server-side', '--subresource=status', '--field-manager=agent', '-f', '-'],
    { input: JSON.stringify(status) },
  );

test('a value from before there was a bound stays while other fields change; a new one is refused', async () => {
  const crd = parse(
    await readFile(join(repositoryRoot, 'crds/manifests/appinsts.yaml'), 'utf8'),
    { version: '1.1' }, // as kubectl reads it
  ) as object;
  const bound = JSON.stringify(crd);
  const boundless = bound.replaceAll(/,"maximum":281474976710656/g, '');
  assert.notEqual(boundless, bound);
  await apply(JSON.parse(boundless) as object);
  await apply({
    ...{ apiVersion: 'edge.cloudlet.dev/v1alpha1', kind: 'AppInst' },
    metadata: { name: 'kept', namespace: 'default' },
    spec: { appRef: { name: 'shop' }, cloudletRef: { name: 'phones' } },
  });
  await until('the bound to be gone', 20_000, () => applyStatus(statusWith(beyond, 'first')));
  await apply(crd);
  await until('the bound to be there', 20_000, async () => {
    const refusal = await applyStatus(statusWith(beyond + 1, 'other')).catch(describeError);
    expect(/placement.*281474976710656/.test(refusal), refusal);
  });
  await applyStatus(statusWith(beyond, 'second'));
  const kept = ['get', 'appinst', 'kept', '-n', 'default', '-o'];
  const path = 'jsonpath={.status.site.placement} {.status.progress.message}';
  assert.equal(await region.kubectl([...kept, path]), `${beyond} second`);
});
