/** An instance from apply to Ready and away again, on a real API server, with sites played by the test. */
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { annotations, finalizers } from '@cloudlet/crds';
import { NotFoundError } from '@cloudlet/runtime/base';
import { instanceIdOf, leaseAnnotations } from '@cloudlet/operator';
import {
  type App,
  type AppInst,
  type Bed,
  type Behaviour,
  conditionIn,
  eventually,
  type FakeSite,
  healthy,
  openBed,
} from './operator-bed.ts';

let bed: Bed;
const sites: FakeSite[] = [];
const openSite = async (name: string, spec?: object): Promise<FakeSite> => {
  const site = await bed.site(name, spec);
  sites.push(site);
  return site;
};

before(async () => {
  bed = await openBed('operator-appinst-');
  await bed.create('Flavor', 'small', { vcpus: '500m', memory: '64Mi' });
});
after(async () => bed[Symbol.asyncDispose]());
afterEach(() =>
  assert.deepEqual(
    sites.flatMap((site) => site.failures),
    [],
  ),
);

const app = (name: string, more: object = {}) =>
  bed.create('App', `shop/${name}`, {
    version: '1',
    deployment: 'Docker',
    image: `${name}:1`,
    defaultFlavorRef: { name: 'small' },
    ports: [{ name: 'http', protocol: 'HTTP', port: 8080 }],
    ...more,
  });
const appInst = (name: string, spec: object) => bed.create('AppInst', `shop/${name}`, spec);
const read = (name: string): AppInst | undefined => bed.appInsts.cache.get(`shop/${name}`);
const ready = (name: string, reason: string, status = 'True'): Promise<AppInst> =>
  eventually(
    `${name} Ready=${status} ${reason}, is ${JSON.stringify(conditionIn(read(name), 'Ready'))}`,
    () => {
      const object = read(name);
      const condition = conditionIn(object, 'Ready');
      return condition?.status === status && condition.reason === reason ? object : undefined;
    },
  );
const ledgerOf = (site: string) => bed.ledgers.cache.get(site)?.spec;
const patch = (name: string, body: object) =>
  bed.resource<AppInst>('AppInst').mergePatch(name, 'shop', body);
const remove = (name: string) => bed.resource<AppInst>('AppInst').delete(name, 'shop');
const gone = (name: string) =>
  eventually(`${name} is gone`, () => (read(name) === undefined ? true : undefined));

test('an instance costs four writes from apply to Ready, one of them by its site', async () => {
  const site = await openSite('four');
  await site.connect();
  await site.run();
  await app('four');
  const versions = new Set<string>();
  const subscription = bed.appInsts.subscribe((event) => {
    if (event.object.metadata.name === 'four') versions.add(event.object.metadata.resourceVersion);
  });
  await appInst('four', { appRef: { name: 'four' }, cloudletRef: { name: 'four' } });
  const object = await ready('four', 'Ready');
  // A write that says nothing new would come a moment later.
  await new Promise((resolve) => setTimeout(resolve, 500));
  subscription.unsubscribe();
  assert.equal(versions.size, 1 + 4, 'the object that was applied, and four states of it');
  assert.deepEqual(object.status?.endpoints, [
    { port: 'http', host: '203.0.113.7', publicPort: 8080, ready: true },
  ]);
  assert.equal(object.status?.uri, 'http://203.0.113.7:8080');
  assert.equal(object.status?.replicas, 1);
  assert.equal(conditionIn(object, 'Reconciling'), undefined);
  assert.deepEqual(
    ledgerOf('four')?.entries?.map(({ inputs: _, ...entry }) => entry),
    [
      {
        id: instanceIdOf(object),
        namespace: 'shop',
        name: 'four',
        sequence: 1,
        cpuMillis: 500,
        memoryBytes: 2 ** 26,
        ports: [{ name: 'http', protocol: 'TCP', port: 8080, publicPort: 8080 }],
      },
    ],
  );
});

test('a deleted instance keeps its finalizer until its site said that it is gone', async () => {
  const site = await openSite('leave');
  await site.connect();
  await site.run();
  await app('leave');
  await appInst('leave', { appRef: { name: 'leave' }, cloudletRef: { name: 'leave' } });
  await ready('leave', 'Ready');
  site.pause();
  await remove('leave');
  const leaving = await ready('leave', 'Removing', 'False');
  assert.deepEqual(leaving.metadata.finalizers, [finalizers.appinst]);
  const tombstone = ledgerOf('leave')?.tombstones?.[0];
  assert.equal(tombstone?.reason, 'Deleted');
  assert.equal(tombstone.ports?.[0]?.publicPort, 8080, 'its port stays taken');
  await site.run();
  await gone('leave');
  await eventually('the tombstone is gone', () =>
    ledgerOf('leave')?.tombstones === undefined ? true : undefined,
  );
});

test('an instance of a site that never enrolled goes at once', async () => {
  await openSite('never');
  await app('never');
  await appInst('never', { appRef: { name: 'never' }, cloudletRef: { name: 'never' } });
  await ready('never', 'WaitingForSite', 'False');
  await remove('never');
  await gone('never');
  assert.equal(ledgerOf('never')?.tombstones, undefined);
});

test('an abandoned instance goes though its site is lost, and its tombstone stays', async () => {
  const site = await openSite('lost');
  await site.connect();
  await site.run();
  await app('lost');
  await appInst('lost', { appRef: { name: 'lost' }, cloudletRef: { name: 'lost' } });
  await ready('lost', 'Ready');
  site.pause();
  await site.disconnect();
  const lost = await ready('lost', 'SiteUnreachable', 'Unknown');
  assert.equal(lost.status?.endpoints?.[0]?.ready, false);
  assert.equal(conditionIn(lost, 'Healthy')?.status, 'True', "the agent's last word stays");
  await remove('lost');
  await ready('lost', 'Removing', 'False');
  await patch('lost', { metadata: { annotations: { [annotations.abandon]: 'true' } } });
  await gone('lost');
  await eventually(
    'tombstone',
    () => ledgerOf('lost')?.tombstones?.[0]?.reason === 'Abandoned' || undefined,
  );
  await site.patchLease({
    metadata: {
      annotations: {
        'edge.cloudlet.dev/removed': JSON.stringify([
          { id: instanceIdOf(lost), sequence: ledgerOf('lost')?.tombstones?.[0]?.sequence },
        ]),
      },
    },
  });
  await eventually('the confirmed tombstone is gone', () =>
    ledgerOf('lost')?.tombstones === undefined ? true : undefined,
  );
});

test('a second instance of an App gets another public port, and a third App the next one', async () => {
  const site = await openSite('ports', {
    loadBalancer: { portRange: { first: 9000, last: 9001 } },
  });
  await site.connect();
  await site.run();
  await app('ports');
  for (const name of ['ports-a', 'ports-b', 'ports-c'])
    await appInst(name, { appRef: { name: 'ports' }, cloudletRef: { name: 'ports' } });
  for (const name of ['ports-a', 'ports-b', 'ports-c']) await ready(name, 'Ready');
  const numbers = ledgerOf('ports')?.entries?.map(({ ports }) => ports?.[0]?.publicPort);
  assert.deepEqual(new Set(numbers), new Set([8080, 9000, 9001]));
  await appInst('ports-d', { appRef: { name: 'ports' }, cloudletRef: { name: 'ports' } });
  const refused = await ready('ports-d', 'PortsExhausted', 'False');
  assert.match(conditionIn(refused, 'Placed')?.message ?? '', /no port left for 'http'/);
});

test('a changed App rolls out at once, and returns to the last healthy revision when it fails', async () => {
  const site = await openSite('roll');
  await site.connect();
  const behave = (object: AppInst): Behaviour =>
    object.status?.rollout?.revision === broken
      ? {
          deployed: ['False', 'ImageNotFound', 'no such image'],
          healthy: ['True', 'Healthy', 'the old tasks run'],
        }
      : healthy();
  let broken = '';
  await site.run(behave);
  await app('roll');
  await appInst('roll', { appRef: { name: 'roll' }, cloudletRef: { name: 'roll' } });
  const first = await ready('roll', 'Ready');
  const apps = bed.resource<App>('App');
  site.pause();
  await apps.mergePatch('roll', 'shop', { spec: { image: 'roll:broken' } });
  const rolling = await eventually('the new revision is pinned', () => {
    const object = read('roll');
    return object?.status?.rollout?.revision !== first.status?.rollout?.revision
      ? object
      : undefined;
  });
  assert.equal(conditionIn(rolling, 'Ready')?.status, 'True', 'what ran serves on');
  assert.equal(conditionIn(rolling, 'Reconciling')?.status, 'True');
  broken = rolling.status?.rollout?.revision ?? '';
  await site.run(behave);
  const back = await ready('roll', 'RolledBack');
  assert.equal(back.status?.rollout?.revision, first.status?.rollout?.revision);
  assert.equal(back.status?.rollout?.failed, broken);
  assert.ok((back.status?.rollout?.sequence ?? 0) > (rolling.status?.rollout?.sequence ?? 0));
  await apps.mergePatch('roll', 'shop', { spec: { image: 'roll:2' } });
  const mended = await ready('roll', 'Ready');
  assert.equal(mended.status?.rollout?.failed, undefined);
});

test('with a manual roll-out a changed App waits until its revision is named', async () => {
  const site = await openSite('manual');
  await site.connect();
  await site.run();
  await app('manual');
  await appInst('manual', {
    appRef: { name: 'manual' },
    cloudletRef: { name: 'manual' },
    rollout: 'Manual',
  });
  const first = await ready('manual', 'Ready');
  await bed.resource<App>('App').mergePatch('manual', 'shop', { spec: { image: 'manual:2' } });
  const waiting = await eventually('UpdateAvailable', () =>
    conditionIn(read('manual'), 'UpdateAvailable')?.status === 'True' ? read('manual') : undefined,
  );
  const available = waiting.status?.rollout?.available;
  assert.equal(waiting.status?.rollout?.revision, first.status?.rollout?.revision);
  assert.equal(waiting.status?.rollout?.sequence, first.status?.rollout?.sequence, 'no new plan');
  await patch('manual', { spec: { rolloutRevision: available } });
  await eventually('the named revision runs', () =>
    read('manual')?.status?.site?.revision === available ? true : undefined,
  );
});

test('a suspended instance is told to stay as it is, and catches up afterwards', async () => {
  const site = await openSite('still');
  await site.connect();
  await site.run();
  await app('still');
  await appInst('still', { appRef: { name: 'still' }, cloudletRef: { name: 'still' } });
  const first = await ready('still', 'Ready');
  await patch('still', { spec: { suspend: true } });
  await ready('still', 'Suspended');
  await bed.resource<App>('App').mergePatch('still', 'shop', { spec: { image: 'still:2' } });
  await patch('still', { spec: { replicas: 3 } });
  const still = await eventually('generation 3', () =>
    read('still')?.status?.rollout?.generation === 3 ? read('still') : undefined,
  );
  assert.equal(still.status?.rollout?.revision, first.status?.rollout?.revision);
  assert.equal(ledgerOf('still')?.entries?.[0]?.cpuMillis, 500, 'nothing more is reserved');
  await patch('still', { spec: { suspend: false } });
  const after = await ready('still', 'Ready');
  assert.notEqual(after.status?.rollout?.revision, first.status?.rollout?.revision);
  assert.equal(ledgerOf('still')?.entries?.[0]?.cpuMillis, 1500);
});

test('an instance moves: the new site has it before the old one is told to remove it', async () => {
  const [from, to] = [await openSite('from'), await openSite('to')];
  for (const site of [from, to]) {
    await site.connect();
    await site.run();
  }
  await app('move');
  await appInst('move', { appRef: { name: 'move' }, cloudletRef: { name: 'from' } });
  const first = await ready('move', 'Ready');
  await patch('move', { spec: { cloudletRef: { name: 'to' } } });
  const moved = await eventually('it runs at the new site', () =>
    read('move')?.status?.placement?.cloudlet === 'to' &&
    conditionIn(read('move'), 'Ready')?.reason === 'Ready'
      ? read('move')
      : undefined,
  );
  assert.ok((moved.status?.placement?.sequence ?? 0) > (first.status?.placement?.sequence ?? 0));
  const tombstone = ledgerOf('from')?.tombstones?.[0];
  assert.equal(tombstone?.reason, 'Moved');
  // Deleting it waits for the old site too.
  await remove('move');
  await ready('move', 'Removing', 'False');
  await eventually('removed at the new site', () => {
    const { entries, tombstones } = ledgerOf('to') ?? {};
    return (entries === undefined && tombstones === undefined) || undefined;
  });
  await appInst('after-move', { appRef: { name: 'move' }, cloudletRef: { name: 'to' } });
  await ready('after-move', 'Ready');
  assert.notEqual(read('move'), undefined, 'the old site has not confirmed');
  await from.patchLease({
    metadata: {
      annotations: {
        'edge.cloudlet.dev/removed': JSON.stringify([
          { id: instanceIdOf(moved), sequence: tombstone.sequence },
        ]),
      },
    },
  });
  await gone('move');
  await remove('after-move');
  await gone('after-move');
});

test('a spec that cannot be carried out says which field, and heals when that is mended', async () => {
  const site = await openSite('heal');
  await site.connect();
  await site.run();
  await appInst('heal', { appRef: { name: 'heal' }, cloudletRef: { name: 'heal' } });
  const missing = await ready('heal', 'AppNotFound', 'False');
  assert.match(
    conditionIn(missing, 'Accepted')?.message ?? '',
    /spec\.appRef: there is no App 'heal'/,
  );
  await app('heal', { env: [{ name: 'A', value: '{{cloudlet.nam}}' }] });
  const unknown = await ready('heal', 'UnknownTemplate', 'False');
  assert.match(
    conditionIn(unknown, 'Ready')?.message ?? '',
    /spec\.env\[A\]\.value: \{\{cloudlet\.nam\}\}/,
  );
  await bed.resource<App>('App').mergePatch('heal', 'shop', { spec: { env: null } });
  await ready('heal', 'Ready');
});

test('of two objects that show one id, the one in the ledger keeps it', async () => {
  const site = await openSite('twin');
  await site.connect();
  await site.run();
  await app('twin');
  await appInst('twin', { appRef: { name: 'twin' }, cloudletRef: { name: 'twin' } });
  const first = await ready('twin', 'Ready');
  await bed.resource<AppInst>('AppInst').create({
    apiVersion: first.apiVersion,
    kind: first.kind,
    metadata: {
      name: 'twin-copy',
      namespace: 'shop',
      annotations: first.metadata.annotations ?? {},
    },
    spec: first.spec,
  });
  const copy = await ready('twin-copy', 'Ready');
  assert.equal(instanceIdOf(copy), copy.metadata.uid);
  assert.equal(instanceIdOf(read('twin') ?? first), instanceIdOf(first));
  await remove('twin-copy');
  await gone('twin-copy');
  assert.equal(conditionIn(read('twin'), 'Ready')?.status, 'True');
});

test('an operator that starts again writes nothing and takes nothing away', async () => {
  const before = new Map(
    bed.appInsts.cache.list().map(({ metadata }) => [metadata.name, metadata.resourceVersion]),
  );
  await bed.stopOperator();
  await bed.startOperator();
  await app('restart');
  await openSite('restart');
  await appInst('restart', { appRef: { name: 'restart' }, cloudletRef: { name: 'restart' } });
  await ready('restart', 'WaitingForSite', 'False'); // it works again
  for (const { metadata } of bed.appInsts.cache.list())
    if (before.has(metadata.name))
      assert.equal(metadata.resourceVersion, before.get(metadata.name), metadata.name);
});

test('a Cloudlet is not deleted while an instance is placed at it, and says which', async () => {
  const cloudlets = bed.resource('Cloudlet');
  await cloudlets.delete('twin');
  const site = sites.find(({ name }) => name === 'twin');
  await eventually('InUse', async () => {
    const condition = conditionIn(await site?.cloudlet(), 'Ready');
    return condition?.reason === 'InUse' && condition.message === 'It is used by AppInst shop/twin.'
      ? true
      : undefined;
  });
  await remove('twin');
  await gone('twin');
  const uid = await eventually('the site is waited for', async () => {
    const cloudlet = await site?.cloudlet();
    const isWaiting = conditionIn(cloudlet, 'Ready')?.message === 'The site is cleaning up.';
    return isWaiting ? cloudlet?.metadata.uid : undefined;
  });
  const annotations = { [leaseAnnotations.left]: uid };
  await site?.patchLease({ metadata: { annotations } });
  await eventually('the Cloudlet is gone', async () =>
    cloudlets.get('twin').then(
      () => undefined,
      (error: unknown) => error instanceof NotFoundError || undefined,
    ),
  );
  assert.equal(ledgerOf('twin'), undefined);
});
