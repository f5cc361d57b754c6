/** What a restored region does about sites that run what it has placed elsewhere, on a real API server. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { instanceIdOf, leaseAnnotations } from '@cloudlet/operator';
import {
  type AppInst,
  type Bed,
  conditionIn,
  eventually,
  type FakeSite,
  healthy,
  openBed,
} from './operator-bed.ts';

let bed: Bed;
before(async () => {
  bed = await openBed('operator-restored-');
  await bed.create('Flavor', 'small', { vcpus: '500m', memory: '64Mi' });
  await bed.create('App', 'shop/web', {
    ...{ version: '1', deployment: 'Docker', image: 'web:1', defaultFlavorRef: { name: 'small' } },
  });
});
after(async () => bed[Symbol.asyncDispose]());

const tombstonesOf = (site: string) => bed.ledgers.cache.get(site)?.spec.tombstones ?? [];
const read = (name: string): AppInst | undefined => bed.appInsts.cache.get(`shop/${name}`);
const ready = (name: string, reason: string): Promise<AppInst> =>
  eventually(`${name} is ${reason}`, () =>
    conditionIn(read(name), 'Ready')?.reason === reason ? read(name) : undefined,
  );

/** A site that is cut off, and one that has `name`. */
async function placed(name: string): Promise<{ away: FakeSite; here: FakeSite; id: string }> {
  const [away, here] = [await bed.site(`${name}-away`), await bed.site(`${name}-here`)];
  await here.connect();
  const spec = { appRef: { name: 'web' }, cloudletRef: { name: here.name } };
  await bed.create('AppInst', `shop/${name}`, spec);
  const appInst = await ready(name, 'WaitingForSite');
  return { away, here, id: instanceIdOf(appInst) ?? '' };
}

test('a site that returns with what runs elsewhere is told to remove it, when it runs there', async () => {
  const { away, here, id } = await placed('twice');
  const stranger = { id: 'nobody-knows', name: 'other', sequence: 3 };
  await away.connect({ orphans: [{ id, name: 'twice-abcde', sequence: 12 }, stranger] });
  // It may be all that serves.
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.deepEqual(tombstonesOf(away.name), []);
  await here.run(healthy);
  await ready('twice', 'Ready');
  const [tombstone, ...more] = await eventually('the order to remove', () =>
    tombstonesOf(away.name).length > 0 ? tombstonesOf(away.name) : undefined,
  );
  assert.deepEqual(more, [], 'what the region does not know stays');
  assert.deepEqual([tombstone?.id, tombstone?.sequence, tombstone?.reason], [id, 13, 'Orphaned']);
  assert.equal(tombstone?.deleteVolumes, undefined);
  await away.reportSite({ orphans: [stranger] });
  const removed = JSON.stringify([{ id, sequence: 13 }]);
  await away.patchLease({ metadata: { annotations: { [leaseAnnotations.removed]: removed } } });
  await eventually('the order is settled', () =>
    tombstonesOf(away.name).length === 0 ? true : undefined,
  );
  assert.equal(conditionIn(read('twice'), 'Ready')?.reason, 'Ready');
});

test('an order of the backup that the site is past is given by a later number', async () => {
  const { away, here, id } = await placed('past');
  await here.run(healthy);
  await ready('past', 'Ready');
  await away.connect({ orphans: [{ id, sequence: 4 }] });
  const first = await eventually('the order to remove', () => tombstonesOf(away.name)[0]);
  assert.equal(first.sequence, 5);
  await away.reportSite({ orphans: [{ id, sequence: 20 }] });
  await eventually('a later number', () =>
    tombstonesOf(away.name)[0]?.sequence === 21 ? true : undefined,
  );
});

test('a deleted AppInst takes its orphans along, and waits for the site that it was placed at alone', async () => {
  const { away, here, id } = await placed('left');
  await away.connect({ orphans: [{ id, sequence: 9 }] });
  await here.run(() => undefined);
  await bed.resource<AppInst>('AppInst').delete('left', 'shop');
  await eventually('left is gone', () => (read('left') === undefined ? true : undefined));
  assert.equal(tombstonesOf(away.name)[0]?.sequence, 10);
});
