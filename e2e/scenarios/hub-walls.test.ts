/**
 * The second wall, tried on a real API server without any hub in front of it: what a site's identity may
 * write. The first wall is tried in `operator/src/hub` and `hub-tunnel.test.ts`.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  type AppInst,
  type AppInstStatus,
  type Cloudlet,
  fieldManagers,
  groupVersion,
  siteUser,
} from '@cloudlet/crds';
import { ForbiddenError } from '@cloudlet/runtime/base';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { type HubBed, openHubBed, refused, typeOf } from './hub-bed.ts';

const appInstType = typeOf('AppInst');
const cloudletType = typeOf('Cloudlet');
const now = '2026-01-01T00:00:00Z';

let bed: HubBed;
let client: KubernetesClient;
let web: AppInst;
let siteA: Cloudlet;

before(async () => {
  bed = await openHubBed('walls-');
  client = bed.client;
  await bed.region.kubectl(['create', 'namespace', 'shop']);
  for (const name of ['site-a', 'site-b'])
    await bed.create('Cloudlet', { name }, { operator: 'campus', platform: 'Fake' });
  const app = { version: '1', deployment: 'Docker', image: 'web:1' };
  await bed.create('App', { name: 'web', namespace: 'shop' }, app);
  const refs = { appRef: { name: 'web' }, cloudletRef: { name: 'site-a' } };
  await bed.create('AppInst', { name: 'web', namespace: 'shop' }, refs);
  web = await placed('site-a', 1);
  siteA = await client.resource<Cloudlet>(cloudletType).get('site-a');
});

after(() => bed[Symbol.asyncDispose]());

/** The operator's part of the status, as the operator writes it. */
function placed(cloudlet: string, sequence: number): Promise<AppInst> {
  return client.resource<AppInst>(appInstType).apply(
    {
      apiVersion: groupVersion,
      kind: 'AppInst',
      metadata: { name: 'web', namespace: 'shop' },
      status: {
        observedGeneration: 1,
        placement: { cloudlet, sequence },
        ports: [{ name: 'http', protocol: 'HTTP', port: 80, publicPort: 8080 }],
        uri: 'http://10.0.0.1:8080',
        conditions: [condition('Ready', 'False', 'WaitingForSite')],
      },
    },
    { fieldManager: fieldManagers.operator, subresource: 'status' },
  );
}

const condition = (type: string, status: 'True' | 'False', reason: string) => ({
  type,
  status,
  reason,
  message: '',
  lastTransitionTime: now,
});

interface Attempt {
  readonly site?: string;
  readonly fieldManager?: string;
  readonly status?: object;
  readonly stamp?: Partial<NonNullable<AppInstStatus['site']>>;
}

/** A report as the hub applies it, but for what the attempt changes. */
function report({ site = 'site-a', fieldManager = fieldManagers.agent, status, stamp }: Attempt) {
  return client.resource<AppInst>(appInstType).apply(
    {
      apiVersion: groupVersion,
      kind: 'AppInst',
      metadata: { name: 'web', namespace: 'shop' },
      status: {
        site: { uid: web.metadata.uid, boot: 'boot-1', sequence: 1, placement: 1, ...stamp },
        conditions: [condition('Deployed', 'True', 'Deployed')],
        ...status,
      },
    },
    { fieldManager, subresource: 'status', impersonate: { user: siteUser(site) } },
  );
}

test('an honest first report passes', async () => {
  const { status } = await report({ status: { instances: [{ name: 'web.1', state: 'running' }] } });
  assert.equal(status?.site?.boot, 'boot-1');
  assert.deepEqual(
    status.conditions?.map(({ type }) => type).sort(),
    ['Deployed', 'Ready'],
    "the operator's condition stands beside the agent's",
  );
  assert.equal(status.uri, 'http://10.0.0.1:8080');
});

test('an honest later report passes, and what it leaves out is erased', async () => {
  const { status } = await report({ stamp: { sequence: 2 } });
  assert.equal(status?.instances, undefined);
});

test('a report of another agent process passes, whatever its own number', async () => {
  await report({ stamp: { boot: 'boot-2', sequence: 1 } });
  await report({ stamp: { boot: 'boot-3', sequence: 7 } });
});

test('another site is refused', () =>
  refused(report({ site: 'site-b' }), /not placed at this site/));

test('the object of an earlier life is refused', () =>
  refused(report({ stamp: { uid: 'other', sequence: 9 } }), /status.site.uid is another/));

test('an earlier report of the same process is refused', () =>
  refused(report({ stamp: { boot: 'boot-3', sequence: 6 } }), /later report .* is on record/));

test('a report of an earlier plan is refused, also from a new process', async () => {
  await report({ stamp: { boot: 'boot-3', sequence: 8, placement: 4 } });
  await refused(report({ stamp: { boot: 'boot-4', placement: 3 } }), /later plan is on record/);
});

const latest = { boot: 'boot-3', sequence: 100, placement: 4 };

test('another field manager is refused', () =>
  refused(report({ stamp: latest, fieldManager: fieldManagers.operator }), /field manager/));

for (const [what, status, sentence] of [
  ['placement', { placement: { cloudlet: 'site-b', sequence: 1 } }, /status.placement is/],
  ['uri', { uri: 'http://elsewhere' }, /status.uri is/],
  ['ports', { ports: [{ name: 'http', protocol: 'HTTP', port: 81 }] }, /status.ports is/],
  [
    'endpoints',
    { endpoints: [{ port: 'http', host: 'h', publicPort: 1, ready: true }] },
    /endpoints is/,
  ],
  ['rollout', { rollout: { revision: 'r', sequence: 1, generation: 1 } }, /status.rollout is/],
  ['replicas', { replicas: 9 }, /status.replicas is/],
  ['observedGeneration', { observedGeneration: 9 }, /observedGeneration is/],
  [
    'the condition Ready',
    { conditions: [condition('Ready', 'True', 'Ready')] },
    /of the conditions/,
  ],
  ['a new condition', { conditions: [condition('Placed', 'True', 'Placed')] }, /of the conditions/],
] as const)
  test(`a site that writes the operator's part is refused: ${what}`, () =>
    refused(report({ stamp: latest, status }), sentence));

test('the largest status fits the cost budget of the rules', async () => {
  const many = Array.from({ length: 200 }, (_, index) => ({
    name: `web.${index}`,
    state: 'running',
    error: 'e'.repeat(1000),
  }));
  const message = 'm'.repeat(30_000);
  const conditions = ['Deployed', 'Healthy'].map((type) => ({
    ...condition(type, 'False', 'Unhealthy'),
    message,
  }));
  await client.resource<AppInst>(appInstType).apply(
    {
      apiVersion: groupVersion,
      kind: 'AppInst',
      metadata: { name: 'web', namespace: 'shop' },
      status: {
        observedGeneration: 1,
        placement: { cloudlet: 'site-a', sequence: 4 },
        uri: 'http://10.0.0.1:8080',
        ports: Array.from({ length: 200 }, (_, index) => ({
          name: `p${index}`,
          protocol: 'TCP' as const,
          port: 1000 + index,
          publicPort: 1000 + index,
        })),
        endpoints: Array.from({ length: 256 }, (_, index) => ({
          port: `p${index}`,
          host: 'h'.repeat(253),
          publicPort: 1000 + index,
          ready: true,
        })),
        conditions: Array.from({ length: 14 }, (_, index) => ({
          ...condition(`Type${index}`, 'True', 'Reason'),
          message,
        })),
      },
    },
    { fieldManager: fieldManagers.operator, subresource: 'status' },
  );
  const { status } = await report({ stamp: latest, status: { instances: many, conditions } });
  assert.equal(status?.conditions?.length, 16);
});

test('spec and metadata sent with a report change nothing', async () => {
  const before = await client.resource<AppInst>(appInstType).get('web', 'shop');
  await client.request(
    'PATCH',
    '/apis/edge.cloudlet.dev/v1alpha1/namespaces/shop/appinsts/web/status?fieldManager=cloudlet-agent&force=true',
    {
      contentType: 'application/apply-patch+yaml',
      impersonate: { user: siteUser('site-a') },
      body: {
        apiVersion: groupVersion,
        kind: 'AppInst',
        metadata: { name: 'web', namespace: 'shop', labels: { mine: 'true' } },
        spec: { replicas: 1000 },
        status: { site: { uid: web.metadata.uid, ...latest, sequence: 101 } },
      },
    },
  );
  const later = await client.resource<AppInst>(appInstType).get('web', 'shop');
  assert.deepEqual(later.spec, before.spec);
  assert.deepEqual(later.metadata.labels, before.metadata.labels);
});

test('a site writes no spec, reads nothing and deletes nothing', async () => {
  const as = { impersonate: { user: siteUser('site-a') } };
  const appInsts = client.resource<AppInst>(appInstType);
  await assert.rejects(
    appInsts.mergePatch('web', 'shop', { spec: { replicas: 3 } }, as),
    ForbiddenError,
  );
  await assert.rejects(appInsts.get('web', 'shop', as), ForbiddenError);
  await assert.rejects(appInsts.list(as), ForbiddenError);
  await assert.rejects(appInsts.delete('web', 'shop', as), ForbiddenError);
  await assert.rejects(
    client.request('GET', '/api/v1/namespaces/cloudlet-secrets/secrets', as),
    ForbiddenError,
  );
});

/** A site's report of itself. */
const siteReport = (site: string, name: string, status: object = {}) =>
  client.resource<Cloudlet>(cloudletType).apply(
    {
      apiVersion: groupVersion,
      kind: 'Cloudlet',
      metadata: { name },
      status: { site: { uid: siteA.metadata.uid, boot: 'boot-1', sequence: 1 }, ...status },
    },
    {
      fieldManager: fieldManagers.agent,
      subresource: 'status',
      impersonate: { user: siteUser(site) },
    },
  );

test('a site reports of its own Cloudlet', async () => {
  const conditions = [condition('PlatformReady', 'True', 'Serving')];
  const { status } = await siteReport('site-a', 'site-a', { conditions });
  assert.equal(status?.site?.boot, 'boot-1');
});

test("a site is refused another's Cloudlet, and the operator's part of its own", async () => {
  await refused(siteReport('site-b', 'site-a'), /its own Cloudlet only/);
  const key = `SHA256:${'A'.repeat(43)}`;
  await refused(siteReport('site-a', 'site-a', { keys: [{ fingerprint: key }] }), /status.keys is/);
  const conditions = [condition('Connected', 'True', 'Connected')];
  await refused(siteReport('site-a', 'site-a', { conditions }), /of the conditions/);
});

test('a moved instance takes the next site, and the last one is refused', async () => {
  await placed('site-b', 5);
  await refused(report({ stamp: { ...latest, sequence: 200 } }), /not placed at this site/);
  const { status } = await report({
    site: 'site-b',
    stamp: { boot: 'boot-b', sequence: 0, placement: 5 },
  });
  assert.equal(status?.site?.placement, 5);
  assert.equal(status.instances, undefined, 'what the last site left is gone');
});
