import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AppInst, CloudletLedger, CloudletLedgerSpec } from '@cloudlet/crds';
import { ConflictError, FakeClock, NotFoundError } from '@cloudlet/runtime/base';
import type { Cache } from '@cloudlet/runtime/kubernetes';
import { aCloudlet, anAppInst } from '../../builders.ts';
import { createLedgerBook } from '../../ledger/book.ts';
import { emptyLedger, place, tombstoneOf } from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import type { Region } from '../../region.ts';
import { removeInstance } from './remove.ts';

const { signal } = new AbortController();
const sent = { rollout: { revision: 'web-1', sequence: 1, generation: 1 } };

/** A region whose watch of the ledgers has brought nothing yet; `live` is what the API server has. */
function blindRegion(appInst: AppInst) {
  const id = instanceIdOf(appInst) ?? '';
  const request = { namespace: 'shop', name: 'web', inputs: 'a', resources: {}, ports: [] };
  const range = { first: 10_000, last: 10_999 };
  const placed = place(emptyLedger('site'), { ...request, id, range, floor: 0 }).ledger;
  let version = 1;
  let spec: CloudletLedgerSpec = placed;
  const object = (): CloudletLedger => ({
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'CloudletLedger',
    metadata: {
      ...{ name: 'edge1', uid: 'u', generation: 1, creationTimestamp: '' },
      resourceVersion: String(version),
    },
    spec,
  });
  const write = (next: CloudletLedgerSpec): CloudletLedger => {
    version++;
    spec = next;
    return object();
  };
  const nothing: Cache<CloudletLedger> = {
    ...{ get: () => undefined, list: () => [], byIndex: () => [], size: 0 },
  };
  const ledgers = createLedgerBook({
    client: {
      get: async (name) => {
        if (name !== 'edge1') throw new NotFoundError(name);
        return object();
      },
      create: () => Promise.reject(new Error('it exists')),
      replace: async (next) => {
        if (next.metadata.resourceVersion !== String(version)) throw new ConflictError('replace');
        return write(next.spec);
      },
    },
    informer: { cache: nothing, subscribe: () => ({ unsubscribe: () => undefined }) },
    seed: () => emptyLedger('site'),
  });
  const site = aCloudlet({ status: { keys: [{ fingerprint: 'f', since: '' }] } as never });
  const region = {
    ledgers,
    clock: new FakeClock(),
    informers: { ledgers: { cache: nothing }, revisions: { cache: { get: () => undefined } } },
    placements: new Map(),
    referrers: () => [],
    appInsts: { get: () => undefined },
    cloudlets: { get: () => site },
    clusters: { get: () => undefined },
    clients: { appInsts: { get: async () => appInst } },
  } as unknown as Region;
  return { region, id, live: () => spec, placeAgain: () => write({ ...placed, sequence: 9 }) };
}

test('an entry that the watch has not brought yet is found before the finalizer goes', async () => {
  const appInst = anAppInst({ spec: { cloudletRef: { name: 'edge1' } }, status: sent });
  const { region, id, live } = blindRegion(appInst);
  const progress = await removeInstance(region, appInst, signal);
  assert.equal(progress.kind, 'Waiting');
  assert.equal(live().entries, undefined);
  assert.equal(tombstoneOf(live(), id)?.reason, 'Deleted');
});

test('an order to remove that a restored region gave by too low a number is given again', async () => {
  const appInst = anAppInst({ spec: { cloudletRef: { name: 'edge1' } }, status: sent });
  const { region, id, live } = blindRegion(appInst);
  await removeInstance(region, appInst, signal);
  assert.equal(tombstoneOf(live(), id)?.sequence, 2);
  const site = { uid: appInst.metadata.uid, boot: 'b', sequence: 1, placement: 12 };
  const placement = { cloudlet: 'edge1', sequence: 1 };
  const reported = { ...appInst, status: { ...appInst.status, placement, site } };
  assert.equal((await removeInstance(region, reported, signal)).kind, 'Waiting');
  assert.equal(tombstoneOf(live(), id)?.sequence, 13);
  await removeInstance(region, reported, signal);
  assert.equal(tombstoneOf(live(), id)?.sequence, 13, 'once');
  const removed = { ...site, placement: 13, removed: true };
  const gone = { ...reported, status: { ...reported.status, site: removed } };
  assert.equal((await removeInstance(region, gone, signal)).kind, 'Gone');
});

test('a site that the status names is looked at too, whatever the spec says by now', async () => {
  const placement = { cloudlet: 'edge1', sequence: 1 };
  const appInst = anAppInst({ spec: { zoneRef: { name: 'z' } }, status: { ...sent, placement } });
  const { region } = blindRegion(appInst);
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Waiting');
});

test('an instance that no ledger has is gone at once', async () => {
  const appInst = anAppInst({ spec: { cloudletRef: { name: 'edge2' } } });
  const { region, live } = blindRegion(appInst);
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Gone');
  assert.equal(live().entries?.length, 1);
});

test('an entry that another leader wrote meanwhile is not left behind', async () => {
  const status = {
    ...{ ...sent, placement: { cloudlet: 'edge1', sequence: 1 } },
    site: { uid: 'uid-web', boot: 'b', sequence: 2, placement: 2, removed: true },
  };
  const appInst = anAppInst({ spec: { cloudletRef: { name: 'edge1' } }, status });
  const { region, live, placeAgain } = blindRegion({ ...appInst, status: sent });
  await removeInstance(region, { ...appInst, status: sent }, signal); // orders the removal
  placeAgain();
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Waiting');
  assert.equal(live().entries?.length, 1);
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Waiting');
  assert.equal(live().entries, undefined, 'and its removal is ordered in turn');
});
