/**
 * The runtime against a real API server: what a scripted one would only repeat after us. Everything happens in a
 * namespace of its own.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  ConflictError,
  ForbiddenError,
  InvalidError,
  NotFoundError,
  silentLogger,
  systemClock,
} from '@cloudlet/runtime/base';
import {
  type CacheEvent,
  type KubernetesClient,
  type KubernetesObject,
  type Lease,
  coreTypes,
  createClient,
  createController,
  createEventRecorder,
  createInformer,
  createLeaderElection,
  itself,
  splitKey,
} from '@cloudlet/runtime/kubernetes';
import { type ControlPlane, controlPlaneForTest } from '../testbed/index.ts';

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

const namespace = `runtime-${randomBytes(3).toString('hex')}`;
let dir: string;
let region: ControlPlane;
let client: KubernetesClient;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'runtime-'));
  region = await controlPlaneForTest(dir);
  client = createClient({
    kubeconfig: region.kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'runtime-test',
  });
  await client.resource(coreTypes.namespaces).create({ metadata: { name: namespace } });
});

after(async () => {
  await client.resource(coreTypes.namespaces).delete(namespace);
  await client.close();
  await region.stop();
  await rm(dir, { recursive: true, force: true });
});

const maps = () => client.resource<ConfigMap>(coreTypes.configMaps);

async function until(isReached: () => boolean, what: string): Promise<void> {
  const deadline = systemClock.monotonic() + 30_000;
  while (!isReached()) {
    if (systemClock.monotonic() > deadline) throw new Error(`not reached in 30 s: ${what}`);
    await systemClock.sleep(10);
  }
}

test('an object is created, applied, patched, replaced, read and deleted', async () => {
  const metadata = { name: 'life', namespace };
  await maps().create({ metadata, data: { by: 'create' } });
  await maps().apply({ metadata, data: { applied: 'yes' } }, { fieldManager: 'runtime-test' });
  const patched = await maps().mergePatch('life', namespace, { data: { by: null, more: '1' } });
  assert.deepEqual(patched.data, { applied: 'yes', more: '1' });
  const replaced = await maps().replace({ ...patched, data: { last: 'one' } });
  assert.deepEqual((await maps().get('life', namespace)).data, { last: 'one' });
  await assert.rejects(maps().replace(patched), ConflictError);
  const uid = replaced.metadata.uid ?? '';
  await assert.rejects(maps().delete('life', namespace, { uid: `${uid}x` }), ConflictError);
  await maps().delete('life', namespace, { uid });
  await assert.rejects(maps().get('life', namespace), NotFoundError);
});

test('an apply that leaves out a field takes it away, and a forced one takes over', async () => {
  const metadata = { name: 'owned', namespace };
  await maps().apply({ metadata, data: { a: '1', b: '1' } }, { fieldManager: 'one' });
  const less = await maps().apply({ metadata, data: { a: '1' } }, { fieldManager: 'one' });
  assert.deepEqual(less.data, { a: '1' });
  const contested = { metadata, data: { a: '2' } };
  await assert.rejects(
    maps().apply(contested, { fieldManager: 'two', force: false }),
    ConflictError,
  );
  assert.deepEqual((await maps().apply(contested, { fieldManager: 'two' })).data, { a: '2' });
});

test('refusals of the real server become the errors of the runtime', async () => {
  const metadata = { name: 'twice', namespace };
  await maps().create({ metadata });
  await assert.rejects(maps().create({ metadata }), ConflictError);
  await assert.rejects(maps().create({ metadata: { name: 'Not_A_Name', namespace } }), (error) => {
    assert.ok(error instanceof InvalidError);
    assert.equal(error.causes[0]?.field, 'metadata.name');
    return true;
  });
  const impersonate = { user: 'nobody', groups: ['system:authenticated'] };
  await assert.rejects(maps().get('twice', namespace, { impersonate }), (error) => {
    assert.ok(error instanceof ForbiddenError);
    assert.match(error.message, /get ConfigMap .*User "nobody" cannot get/);
    return true;
  });
});

test('more than a page of objects is listed whole, and followed with every change', async () => {
  const count = 620;
  const label = { 'runtime-test': 'flood' };
  const create = (i: number) =>
    maps().create({ metadata: { name: `flood-${i}`, namespace, labels: label } });
  await Promise.all(Array.from({ length: count }, (_, i) => create(i)));
  const informer = createInformer<ConfigMap>(client, coreTypes.configMaps, {
    namespace,
    labelSelector: 'runtime-test=flood',
    indexes: { data: ({ data }) => Object.values(data ?? {}) },
  });
  const events: CacheEvent<ConfigMap>[] = [];
  informer.subscribe((event) => events.push(event));
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  await informer.synced();
  assert.equal(informer.cache.size, count);
  assert.equal(events.length, count);
  events.length = 0;

  await maps().mergePatch('flood-1', namespace, { data: { x: 'indexed' } });
  await maps().mergePatch('flood-2', namespace, { metadata: { labels: { 'runtime-test': null } } });
  await maps().delete('flood-3', namespace);
  await create(3);
  await until(() => events.length >= 4, 'four events');
  assert.deepEqual(
    events.map((event) => `${event.type} ${event.object.metadata.name}`),
    ['Updated flood-1', 'Deleted flood-2', 'Deleted flood-3', 'Added flood-3'],
  );
  assert.equal(informer.cache.byIndex('data', 'indexed')[0]?.metadata.name, 'flood-1');
  assert.equal(informer.cache.size, count - 1);
  stop.abort();
  await running;
});

test('a controller brings every object to what it wants, and sees its own writes', async () => {
  const label = { 'runtime-test': 'controlled' };
  const informer = createInformer<ConfigMap>(client, coreTypes.configMaps, {
    namespace,
    labelSelector: 'runtime-test=controlled',
  });
  const controller = createController({
    name: 'answers',
    workers: 5,
    logger: silentLogger,
    reconcile: async ({ key, signal }) => {
      const map = informer.cache.get(key);
      if (!map || map.data?.['answer'] === map.data?.['question']) return { kind: 'done' };
      const { namespace: home = '', name } = splitKey(key);
      await maps().apply(
        { metadata: { name, namespace: home }, data: { answer: map.data?.['question'] } },
        { fieldManager: 'answers', signal },
      );
      return { kind: 'done' };
    },
  });
  controller.watches(informer, itself);
  const stop = new AbortController();
  const running = Promise.all([informer.run(stop.signal), controller.run(stop.signal)]);
  const ask = (i: number, question: string) =>
    maps().apply(
      { metadata: { name: `asked-${i}`, namespace, labels: label }, data: { question } },
      { fieldManager: 'asker' },
    );
  const numbers = Array.from({ length: 50 }, (_, i) => i);
  await Promise.all(numbers.map((i) => ask(i, 'first')));
  await Promise.all(numbers.map((i) => ask(i, 'second')));
  await until(
    () =>
      informer.cache.size === 50 &&
      informer.cache.list().every(({ data }) => data?.['answer'] === 'second'),
    'fifty second answers',
  );
  stop.abort();
  await running;
});

test('leadership goes from one process to the next through a real Lease', async () => {
  const leases = client.resource<Lease>(coreTypes.leases);
  const candidate = (identity: string) => {
    const stop = new AbortController();
    const election = createLeaderElection({
      client,
      namespace,
      name: 'leader',
      identity,
      clock: systemClock,
      logger: silentLogger,
      retryPeriodMs: 200,
    });
    const running = election.run(stop.signal, async (signal) => {
      await systemClock.sleep(60_000, signal).catch(() => undefined);
    });
    return { election, stop, running };
  };
  const [a, b] = [candidate('a'), candidate('b')];
  await until(() => a.election.isLeader || b.election.isLeader, 'a leader');
  await systemClock.sleep(600); // a few renewals
  assert.notEqual(a.election.isLeader, b.election.isLeader);
  const [leader, standby] = a.election.isLeader ? [a, b] : [b, a];
  leader.stop.abort();
  await leader.running;
  await until(() => standby.election.isLeader, 'the standby to lead');
  const { spec } = await leases.get('leader', namespace);
  assert.equal(spec?.leaseTransitions, 1);
  standby.stop.abort();
  await standby.running;
  assert.equal((await leases.get('leader', namespace)).spec?.holderIdentity ?? '', '');
});

test('an event about an object is there for people to read, and counts up', async () => {
  const regarding = await maps().create({ metadata: { name: 'eventful', namespace } });
  let nowMs = Date.now();
  const recorder = createEventRecorder({
    client,
    controller: 'edge.cloudlet.dev/test',
    instance: 'test-1',
    clock: { ...systemClock, now: () => nowMs },
    logger: silentLogger,
  });
  const event = {
    regarding,
    type: 'Normal',
    reason: 'Tried',
    action: 'Try',
    note: 'it was tried',
  } as const;
  recorder.record(event);
  nowMs += 61_000;
  recorder.record(event);
  await recorder.flush();
  const shown = await region.kubectl(['events', '-n', namespace, '--for', 'configmap/eventful']);
  assert.match(shown, /x2.*Normal\s+Tried\s+ConfigMap\/eventful\s+it was tried/);
});
