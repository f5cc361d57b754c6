import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  annotations,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  type CloudletLedgerSpec,
  type CloudletStatus,
} from '@cloudlet/crds';
import {
  ConflictError,
  DeadlineError,
  FakeClock,
  NotFoundError,
  silentLogger,
} from '@cloudlet/runtime/base';
import type { Cache, CacheEvent } from '@cloudlet/runtime/kubernetes';
import { aCloudlet, aCondition, anAppInst } from '../../builders.ts';
import { createLedgerBook } from '../../ledger/book.ts';
import { emptyLedger, entryOf, place, tombstoneOf } from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import type { Region } from '../../region.ts';
import { removeInstance } from './remove.ts';

const { signal } = new AbortController();
const sent = { rollout: { revision: 'web-1', sequence: 1, generation: 1 } };

/** A region of ledgers with versions, whose watch brings nothing until it is told to. */
function blindRegion(appInst: AppInst, status: Partial<CloudletStatus> = {}) {
  const id = instanceIdOf(appInst) ?? '';
  const [live, cached] = [new Map<string, CloudletLedger>(), new Map<string, CloudletLedger>()];
  let version = 0;
  let handle: (event: CacheEvent<CloudletLedger>) => void = () => undefined;
  let onBring = (): void => undefined;
  const write = (name: string, spec: CloudletLedgerSpec): CloudletLedger => {
    const metadata = { name, uid: name, generation: 1, creationTimestamp: '' };
    const resourceVersion = String(++version);
    const kind = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind: 'CloudletLedger' } as const;
    const ledger = { ...kind, metadata: { ...metadata, resourceVersion }, spec };
    live.set(name, ledger);
    return ledger;
  };
  /** Changes come in the order in which they were made. */
  const bring = (): void => {
    const versionOf = (ledger: CloudletLedger) => Number(ledger.metadata.resourceVersion);
    for (const ledger of [...live.values()].sort((a, b) => versionOf(a) - versionOf(b))) {
      const old = cached.get(ledger.metadata.name);
      cached.set(ledger.metadata.name, ledger);
      if (old) handle({ type: 'Updated', object: ledger, old, initial: false });
      else handle({ type: 'Added', object: ledger, initial: false });
    }
  };
  const cache: Cache<CloudletLedger> = {
    get: (key) => cached.get(key),
    list: () => [...cached.values()],
    byIndex: (_, value) =>
      [...cached.values()].filter(({ spec }) => entryOf(spec, value) ?? tombstoneOf(spec, value)),
    size: 0,
  };
  const ledgers = createLedgerBook({
    client: {
      get: async (name) => live.get(name) ?? Promise.reject(new NotFoundError(name)),
      list: async () => ({ items: [...live.values()], resourceVersion: String(version) }),
      create: () => Promise.reject(new Error('it exists')),
      replace: async ({ metadata: { name, resourceVersion }, spec }) => {
        if (live.get(name)?.metadata.resourceVersion !== resourceVersion)
          throw new ConflictError('replace');
        setImmediate(() => onBring());
        return write(name, spec);
      },
    },
    informer: {
      cache,
      subscribe(handler) {
        handle = handler;
        return { unsubscribe: () => undefined };
      },
    },
    seed: () => emptyLedger('site'),
  });
  const others = new Map<string, AppInst>();
  const tellers = new Map<string, readonly Cloudlet[]>();
  const site = aCloudlet({
    status: { keys: [{ fingerprint: 'f', since: '' }], ...status } as never,
  });
  const region = {
    ledgers,
    clock: new FakeClock(),
    logger: silentLogger,
    informers: {
      ledgers: { cache },
      revisions: { cache: { get: () => undefined } },
      cloudlets: { cache: { byIndex: (_: string, one: string) => tellers.get(one) ?? [] } },
    },
    placements: new Map(),
    referrers: () => [],
    appInsts: { get: (key: string) => others.get(key) },
    cloudlets: { get: () => site },
    clients: { appInsts: { get: async () => appInst } },
  } as unknown as Region;
  const request = { namespace: 'shop', name: 'web', inputs: 'a', resources: {}, ports: [] };
  const range = { first: 10_000, last: 10_999 };
  const { ledger } = place(emptyLedger('site'), { ...request, id, range, floor: 0 });
  return {
    ...{ region, id, bring },
    spec: (name: string) => live.get(name)?.spec,
    placeAt: (name: string, sequence = 1) => write(name, { ...ledger, sequence }),
    /** A site with nothing placed at it. */
    leave: (name: string) => write(name, emptyLedger('site')),
    bringAll: () => void (onBring = bring),
    /** Another AppInst of the region. */
    knows: (other: AppInst) =>
      void others.set(`${other.metadata.namespace}/${other.metadata.name}`, other),
    /** A site that tells of the instance as its orphan. */
    tells: (name: string, sequence: number) => {
      const orphans = [{ id, sequence }];
      const told = { uid: '', boot: '', sequence: 1, orphans };
      tellers.set(id, [...(tellers.get(id) ?? []), aCloudlet({ name, status: { site: told } })]);
    },
  };
}

/** What its site says when it removed it by the order `placement`. */
const removedBy = (appInst: AppInst, placement: number): AppInst => ({
  ...appInst,
  status: {
    ...{ ...appInst.status, placement: { cloudlet: 'edge1', sequence: 1 } },
    site: { uid: 'uid-web', boot: 'b', sequence: 2, placement, removed: true },
  },
});

const appInst = anAppInst({ spec: { zoneRef: { name: 'z' } }, status: sent });

test('an entry that the watch has not brought yet is found before the finalizer goes', async () => {
  const { region, id, spec, placeAt } = blindRegion(appInst);
  placeAt('edge1');
  const progress = await removeInstance(region, appInst, signal);
  assert.equal(progress.kind, 'Waiting');
  assert.equal(progress.kind === 'Waiting' && progress.isUnderway, true);
  assert.equal(spec('edge1')?.entries, undefined);
  assert.equal(tombstoneOf(spec('edge1'), id)?.reason, 'Deleted');
});

test('an order to remove that a restored region gave by too low a number is given again', async () => {
  const { region, id, spec, placeAt, bringAll } = blindRegion(appInst);
  placeAt('edge1');
  bringAll();
  await removeInstance(region, appInst, signal);
  assert.equal(tombstoneOf(spec('edge1'), id)?.sequence, 2);
  const site = { uid: appInst.metadata.uid, boot: 'b', sequence: 1, placement: 12 };
  const placement = { cloudlet: 'edge1', sequence: 1 };
  const reported = { ...appInst, status: { ...appInst.status, placement, site } };
  assert.equal((await removeInstance(region, reported, signal)).kind, 'Waiting');
  assert.equal(tombstoneOf(spec('edge1'), id)?.sequence, 13);
  await removeInstance(region, reported, signal);
  assert.equal(tombstoneOf(spec('edge1'), id)?.sequence, 13, 'once');
  assert.equal((await removeInstance(region, removedBy(appInst, 13), signal)).kind, 'Gone');
});

test('only a site that is connected is looked at again: of another one its return tells', async () => {
  const away = aCondition('Connected', 'False', 'SiteUnreachable');
  const { region, placeAt } = blindRegion(appInst, { conditions: [away] });
  placeAt('edge1');
  const progress = await removeInstance(region, appInst, signal);
  assert.equal(progress.kind === 'Waiting' && progress.isUnderway, false);
});

test('an instance that no ledger has is gone at once', async () => {
  const { region, spec, placeAt } = blindRegion(anAppInst({ name: 'other' }));
  placeAt('edge1');
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Gone');
  assert.equal(spec('edge1')?.entries?.length, 1);
});

test('an entry that another leader wrote meanwhile is not left behind', async () => {
  const { region, spec, placeAt } = blindRegion(appInst);
  placeAt('edge1');
  await removeInstance(region, appInst, signal); // orders the removal
  placeAt('edge1', 9);
  assert.equal((await removeInstance(region, removedBy(appInst, 2), signal)).kind, 'Waiting');
  assert.equal(spec('edge1')?.entries?.length, 1);
  assert.equal((await removeInstance(region, removedBy(appInst, 2), signal)).kind, 'Waiting');
  assert.equal(spec('edge1')?.entries, undefined, 'and its removal is ordered in turn');
});

test('an entry at another site, of a write whose answer was lost, is found by the last look', async () => {
  const { region, spec, placeAt, bring, bringAll } = blindRegion(appInst);
  placeAt('edge1');
  bring();
  placeAt('edge2');
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Waiting');
  bringAll();
  const removed = removedBy(appInst, 2);
  assert.equal((await removeInstance(region, removed, signal)).kind, 'Waiting');
  assert.equal((await removeInstance(region, removed, signal)).kind, 'Waiting');
  assert.equal(spec('edge2')?.entries, undefined, 'and its removal is ordered');
});

test('the finalizer waits for a watch that is behind', async () => {
  const { region, placeAt } = blindRegion(appInst);
  placeAt('edge1');
  await removeInstance(region, appInst, signal);
  const removing = removeInstance(region, removedBy(appInst, 2), signal);
  const refused = assert.rejects(removing, DeadlineError);
  const clock = region.clock as FakeClock;
  while (clock.pending === 0) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(10_000);
  await refused;
});

test('what is found in time to be of another object is left alone, as what was known to be', async () => {
  const copy = anAppInst({
    name: 'copy',
    metadata: { annotations: { [annotations.instanceId]: instanceIdOf(appInst) ?? '' } },
  });
  const { region, spec, placeAt, knows } = blindRegion(copy);
  placeAt('edge1');
  knows(appInst);
  assert.equal((await removeInstance(region, copy, signal)).kind, 'Gone');
  assert.equal(spec('edge1')?.entries?.length, 1);
  assert.equal(spec('edge1')?.tombstones, undefined);
});

test('a site that tells of the instance as its orphan is to remove it, and is not waited for', async () => {
  const { region, id, spec, leave, tells, bringAll } = blindRegion(appInst);
  leave('edge2');
  tells('edge2', 12);
  bringAll();
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Gone');
  const { sequence, reason } = tombstoneOf(spec('edge2'), id) ?? {};
  assert.deepEqual([sequence, reason], [13, 'Orphaned']);
  assert.equal((await removeInstance(region, appInst, signal)).kind, 'Gone');
  assert.equal(tombstoneOf(spec('edge2'), id)?.sequence, 13, 'once');
});
