/**
 * AppInsts that the API server takes away past their finalizer, as when a deletion was begun before it was
 * written. Here the store loses them, which the watch tells in the same words.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { instanceIdOf, leaseAnnotations, resourceTypes } from '@cloudlet/operator';
import { etcdOf } from '../faults/etcd.ts';
import { repositoryRoot } from '../testbed/host.ts';
import { finalizerInForce } from '../testbed/region/install.ts';
import { type AppInst, type Bed, conditionIn, eventually, openBed } from './operator-bed.ts';

let bed: Bed;
before(async () => {
  bed = await openBed('operator-vanished-');
  await bed.create('Flavor', 'small', { vcpus: '500m', memory: '64Mi' });
  await bed.create('App', 'shop/web', {
    ...{ version: '1', deployment: 'Docker', image: 'web:1', defaultFlavorRef: { name: 'small' } },
  });
});
after(async () => bed[Symbol.asyncDispose]());

const spec = { appRef: { name: 'web' }, cloudletRef: { name: 'edge1' } };
const placed = (name: string): Promise<AppInst> =>
  eventually(`${name} is placed`, () => {
    const appInst = bed.appInsts.cache.get(`shop/${name}`);
    return conditionIn(appInst, 'Ready')?.reason === 'WaitingForSite' ? appInst : undefined;
  });
const vanish = (name: string): Promise<void> =>
  etcdOf(bed.region.etcdUrl, new AbortController().signal).remove(
    `/registry/edge.cloudlet.dev/appinsts/shop/${name}`,
  );
const ledger = () => bed.ledgers.cache.get('edge1')?.spec;

test('what vanished is removed from its site, and one that took its name meanwhile is left alone', async () => {
  const site = await bed.site('edge1');
  await site.connect();
  await bed.create('AppInst', 'shop/web', spec);
  await bed.create('AppInst', 'shop/other', spec);
  const id = instanceIdOf(await placed('web')) ?? '';
  const other = instanceIdOf(await placed('other')) ?? '';
  await vanish('web');
  await bed.create('AppInst', 'shop/web', spec);
  const tombstone = await eventually('an order to remove it', () =>
    ledger()?.tombstones?.find((one) => one.id === id),
  );
  assert.equal(tombstone.reason, 'Deleted');
  const next = instanceIdOf(await placed('web')) ?? '';
  assert.notEqual(next, id);
  const entries = (ledger()?.entries ?? []).map((entry) => entry.id);
  assert.deepEqual(entries.sort(), [other, next].sort());
  const removed = JSON.stringify([{ id, sequence: tombstone.sequence }]);
  await site.patchLease({ metadata: { annotations: { [leaseAnnotations.removed]: removed } } });
  await eventually('the order is settled', () => (ledger()?.tombstones ?? []).length === 0);
});

test('what is not there, and nobody saw going, is left to a person', async () => {
  const id = instanceIdOf(await placed('other')) ?? '';
  await bed.stopOperator();
  await vanish('other');
  await eventually('it is gone', () => bed.appInsts.cache.get('shop/other') === undefined);
  await bed.startOperator();
  await bed.create('AppInst', 'shop/later', spec);
  await placed('later');
  assert.ok(ledger()?.entries?.some((entry) => entry.id === id));
  assert.ok(!ledger()?.tombstones?.some((one) => one.id === id));
});

test('what goes again before anybody saw it keeps its finalizer until somebody did', async () => {
  const appInsts = bed.client.resource<AppInst>(resourceTypes.AppInst);
  await bed.stopOperator();
  const mutating = join(repositoryRoot, 'operator/manifests/mutating');
  await bed.region.kubectl(['apply', '--server-side', '-f', mutating]);
  await finalizerInForce(bed.region);
  await bed.create('AppInst', 'shop/brief', spec);
  await appInsts.delete('brief', 'shop');
  const left = await appInsts.get('brief', 'shop');
  assert.ok(left.metadata.deletionTimestamp);
  await bed.startOperator();
  await eventually('it is gone', () => bed.appInsts.cache.get('shop/brief') === undefined);
});
