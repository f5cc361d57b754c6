/**
 * Zones, Clusters, Secrets, drains and lost hubs, and the enrolment of agents as the operator sees it, on a
 * real API server with sites played by the test.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { agentSigner, annotations, fieldManagers, groupVersion, namespaces } from '@cloudlet/crds';
import {
  type CertificateSigningRequest,
  certificateSigningRequestType,
  instanceIdOf,
  joinSecretName,
  type Lease,
  leaseType,
  renderPlan,
  type SecretObject,
  secretType,
  type ControllerRevision,
  controllerRevisionType,
} from '@cloudlet/operator';
import { NotFoundError } from '@cloudlet/runtime/base';
import { createAgentCsr, createKey, parseJoin, readCsr, verifyAgent } from '@cloudlet/tunnel';
import {
  type App,
  type AppInst,
  type Bed,
  type Cluster,
  conditionIn,
  eventually,
  type FakeSite,
  openBed,
} from './operator-bed.ts';

let bed: Bed;
const sites: FakeSite[] = [];
const openSite = async (name: string, spec?: object, report?: object): Promise<FakeSite> => {
  const site = await bed.site(name, spec);
  sites.push(site);
  await site.connect(report);
  await site.run();
  return site;
};

before(async () => {
  bed = await openBed('operator-region-');
  await bed.create('Flavor', 'half', { vcpus: '500m', memory: '64Mi' });
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
    ...more,
  });
const appInst = (key: string, spec: object) =>
  bed.create('AppInst', key.includes('/') ? key : `shop/${key}`, spec);
const read = (name: string, namespace = 'shop'): AppInst | undefined =>
  bed.appInsts.cache.get(`${namespace}/${name}`);
const ready = (name: string, reason: string, status = 'True'): Promise<AppInst> =>
  eventually(`${name} Ready=${status} ${reason}`, () => {
    const object = read(name);
    const condition = conditionIn(object, 'Ready');
    return condition?.status === status && condition.reason === reason ? object : undefined;
  });
const isGone = (call: () => Promise<unknown>) =>
  eventually('it is gone', () =>
    call().then(
      () => undefined,
      (error: unknown) => error instanceof NotFoundError || undefined,
    ),
  );
const secrets = () => bed.client.resource<SecretObject>(secretType);

test('instances of a zone spread over its sites, and leave one that drains', async () => {
  await bed.create('Zone', 'centre', { operator: 'op' });
  const zone = { zoneRef: { name: 'centre' } };
  await openSite('north', zone);
  const south = await openSite('south', zone);
  await app('spread');
  for (const name of ['spread-a', 'spread-b']) {
    await appInst(name, { appRef: { name: 'spread' }, ...zone });
    await ready(name, 'Ready');
  }
  const placedAt = (name: string): string | undefined => read(name)?.status?.placement?.cloudlet;
  assert.deepEqual(new Set(['spread-a', 'spread-b'].map(placedAt)), new Set(['north', 'south']));
  const leaving = ['spread-a', 'spread-b'].find((name) => placedAt(name) === 'south') ?? '';
  await bed.resource('Cloudlet').mergePatch('south', undefined, { spec: { maintenance: 'Drain' } });
  await eventually('it has moved', () => (placedAt(leaving) === 'north' ? true : undefined));
  await ready(leaving, 'Ready');
  assert.equal(bed.ledgers.cache.get('south')?.spec.tombstones?.[0]?.reason, 'Moved');
  assert.equal(conditionIn(await south.cloudlet(), 'Ready')?.reason, 'Draining');
  const zoneObject = await eventually('the zone counts its sites', async () => {
    const object = await bed.resource<App>('Zone').get('centre');
    return JSON.stringify(object.status).includes('"ready":1') ? object : undefined;
  });
  assert.match(JSON.stringify(zoneObject.status), /"cloudlets":2/);
});

test('when no site of a zone fits every reason is counted, and no site is named', async () => {
  await bed.create('Zone', 'harbour', { operator: 'op' });
  const zone = { zoneRef: { name: 'harbour' } };
  await openSite('pier-one', zone, { capacity: { cpuMillis: 100, memoryBytes: 2 ** 30 } });
  await openSite('pier-two', { ...zone, maintenance: 'Drain' });
  await app('large', { defaultFlavorRef: { name: 'half' } });
  await appInst('large', { appRef: { name: 'large' }, ...zone });
  const refused = await ready('large', 'NoSiteFits', 'False');
  assert.equal(
    conditionIn(refused, 'Placed')?.message,
    'None of 2 sites fits: has not 0.5 CPUs to give (1 site); is in maintenance and takes no new instances (1 site).',
  );
  await bed
    .resource('Cloudlet')
    .mergePatch('pier-two', undefined, { spec: { maintenance: 'Normal' } });
  const placed = await ready('large', 'Ready');
  assert.equal(placed.status?.placement?.cloudlet, 'pier-two');
});

test('a Cluster bounds what its instances reserve, and belongs to who may use it', async () => {
  await openSite('divided');
  await bed.create('Cluster', 'shop/part', {
    cloudletRef: { name: 'divided' },
    deployment: 'Docker',
    nodeLabels: [{ name: 'gpu', value: 'yes' }],
    networks: { encrypted: true },
    resources: { vcpus: '500m' },
    multiTenant: true,
    allowedNamespaces: ['friend'],
  });
  for (const namespace of ['friend', 'stranger'])
    await bed.region.kubectl(['create', 'namespace', namespace]);
  await app('small', { defaultFlavorRef: { name: 'half' } });
  await appInst('small', { appRef: { name: 'small' }, clusterRef: { name: 'part' } });
  const placed = await ready('small', 'Ready');
  assert.equal(placed.status?.placement?.cluster, 'shop/part');
  assert.deepEqual(placed.status?.rollout?.nodeLabels, [{ name: 'gpu', value: 'yes' }]);
  assert.equal(placed.status?.rollout?.overlayEncrypted, true);
  await appInst('small-2', { appRef: { name: 'small' }, clusterRef: { name: 'part' } });
  await ready('small-2', 'NoSiteFits', 'False');
  for (const namespace of ['friend', 'stranger']) {
    await bed.create('App', `${namespace}/tiny`, {
      version: '1',
      deployment: 'Docker',
      image: 'x',
    });
    await appInst(`${namespace}/tiny`, {
      appRef: { name: 'tiny' },
      clusterRef: { name: 'part', namespace: 'shop' },
    });
  }
  await eventually('the friend is in', () =>
    conditionIn(read('tiny', 'friend'), 'Ready')?.status === 'True' ? true : undefined,
  );
  await eventually('the stranger is not', () =>
    conditionIn(read('tiny', 'stranger'), 'Ready')?.reason === 'NamespaceNotAllowed'
      ? true
      : undefined,
  );
  const clusters = bed.resource<Cluster>('Cluster');
  await clusters.delete('part', 'shop');
  await eventually('InUse names who uses it', async () =>
    /AppInsts friend\/tiny, shop\/small/.test(
      conditionIn(await clusters.get('part', 'shop'), 'Ready')?.message ?? '',
    )
      ? true
      : undefined,
  );
});

test('a plan is rendered from what was pinned, with the secrets that it refers to and no others', async () => {
  await openSite('vault');
  await app('secretive', {
    env: [
      { name: 'PASSWORD', secretKeyRef: { name: 'db', key: 'password' } },
      { name: 'WHERE', value: '{{cloudlet.name}} {{uri}}' },
    ],
    ports: [{ name: 'http', protocol: 'HTTP', port: 8080 }],
  });
  await appInst('secretive', { appRef: { name: 'secretive' }, cloudletRef: { name: 'vault' } });
  const refused = await ready('secretive', 'SecretNotFound', 'False');
  assert.match(conditionIn(refused, 'Ready')?.message ?? '', /spec\.env\[PASSWORD\]\.secretKeyRef/);
  const encode = (text: string): string => Buffer.from(text).toString('base64');
  await secrets().create({
    metadata: { name: 'db', namespace: 'shop' },
    data: { password: encode('hunter2'), other: encode('unseen') },
  });
  await bed.resource('AppInst').mergePatch('secretive', 'shop', {
    metadata: { annotations: { [annotations.reconcileAt]: 'now' } },
  });
  const object = await ready('secretive', 'Ready');
  const rollout = object.status?.rollout;
  const copy = await secrets().get(rollout?.secret ?? '', namespaces.secrets);
  assert.equal(copy.immutable, true);
  // What the site needs of it, and the key by which it names copies.
  assert.deepEqual(Object.keys(copy.data ?? {}), ['env.PASSWORD', 'name-key']);
  const revision = await bed.client
    .resource<ControllerRevision>(controllerRevisionType)
    .get(rollout?.revision ?? '', 'shop');
  const plan = renderPlan({ appInst: object, revision, secret: copy });
  assert.deepEqual(plan.secretEnv, { PASSWORD: 'hunter2' });
  assert.deepEqual(plan.env, { WHERE: 'vault http://203.0.113.7:8080' });
  assert.ok(!JSON.stringify(object).includes('hunter2'));
  // Another value is another copy, and another plan.
  await secrets().mergePatch('db', 'shop', { data: { password: encode('hunter3') } });
  await bed.resource('AppInst').mergePatch('secretive', 'shop', {
    metadata: { annotations: { [annotations.reconcileAt]: 'again' } },
  });
  await eventually('another copy is pinned', () =>
    read('secretive')?.status?.rollout?.secret !== rollout?.secret ? true : undefined,
  );
});

test('an instance whose site is ahead of the region, as after a restore, gets a later plan', async () => {
  const site = await openSite('ahead');
  await app('ahead');
  await appInst('ahead', { appRef: { name: 'ahead' }, cloudletRef: { name: 'ahead' } });
  const { metadata, status } = await ready('ahead', 'Ready');
  const placement = (status?.rollout?.sequence ?? 0) + 5;
  site.pause();
  await bed.resource<AppInst>('AppInst').apply(
    {
      apiVersion: groupVersion,
      kind: 'AppInst',
      metadata: { name: 'ahead', namespace: 'shop' },
      status: {
        site: { uid: metadata.uid, boot: 'later', sequence: 1, placement },
        conditions: [],
      },
    },
    { fieldManager: fieldManagers.agent, subresource: 'status' },
  );
  const { rollout } = await eventually('a later plan', () => {
    const now = read('ahead')?.status;
    return (now?.rollout?.sequence ?? 0) > placement ? now : undefined;
  });
  const [entry] = bed.ledgers.cache.get('ahead')?.spec.entries ?? [];
  assert.equal(entry?.sequence, rollout?.sequence);
  assert.equal(rollout?.revision, status?.rollout?.revision);
});

test('when no hub lives nothing is withdrawn', async () => {
  const site = await openSite('blind');
  await app('blind');
  await appInst('blind', { appRef: { name: 'blind' }, cloudletRef: { name: 'blind' } });
  await ready('blind', 'Ready');
  const leases = bed.client.resource<Lease>(leaseType);
  await leases.delete('hub-a', namespaces.system);
  await site.disconnect();
  await eventually('HubUnavailable', async () =>
    conditionIn(await site.cloudlet(), 'Connected')?.reason === 'HubUnavailable' ? true : undefined,
  );
  assert.equal(conditionIn(read('blind'), 'Ready')?.status, 'True');
  await site.connect();
});

test('a site is back when the hub that could not give its Lease back renews it', async () => {
  const site = await openSite('renewed');
  const isConnected = async (): Promise<boolean> =>
    conditionIn(await site.cloudlet(), 'Connected')?.status === 'True';
  await site.renew(1);
  await eventually('its Lease ran out', async () => !(await isConnected()));
  await site.renew();
  await eventually('it is connected', isConnected);
});

test('a Cloudlet gets a join that fits the region, once, and another when its Secret is deleted', async () => {
  const site = await bed.site('joiner');
  const secret = await eventually('a join', () =>
    secrets()
      .get(joinSecretName('joiner'), namespaces.system)
      .catch(() => undefined),
  );
  const text = (data: SecretObject, key: string): string =>
    Buffer.from(data.data?.[key] ?? '', 'base64').toString();
  const join = parseJoin(text(secret, 'join'));
  assert.deepEqual(
    [join.cloudlet, join.hub, join.enroll],
    ['joiner', '127.0.0.1:7443', '127.0.0.1:7444'],
  );
  await secrets().delete(joinSecretName('joiner'), namespaces.system);
  const next = await eventually('another join', () =>
    secrets()
      .get(joinSecretName('joiner'), namespaces.system)
      .catch(() => undefined),
  );
  assert.notEqual(text(next, 'hash'), text(secret, 'hash'));
  assert.equal(conditionIn(await site.cloudlet(), 'Accepted')?.reason, 'NoKey');
});

const requestFor = async (cloudlet: string, key = createKey()) => {
  const csr = await createAgentCsr(key, cloudlet);
  const { fingerprint } = await readCsr(csr);
  const requests = bed.client.resource<CertificateSigningRequest>(certificateSigningRequestType);
  const name = `edge-${cloudlet}-${Math.random().toString(16).slice(2)}`;
  const send = async () => {
    await requests.create({
      metadata: { name, labels: { 'edge.cloudlet.dev/cloudlet': cloudlet } },
      spec: {
        request: Buffer.from(csr).toString('base64'),
        signerName: agentSigner,
        usages: ['digital signature', 'client auth'],
      },
    });
    return eventually('an answer', async () => {
      const { status } = await requests.get(name);
      const isDenied = status?.conditions?.some(({ type }) => type === 'Denied');
      return status?.certificate || isDenied ? status : undefined;
    });
  };
  return { fingerprint, send };
};

test('a key that a person accepted gets a certificate of the Cloudlet, and no other key does', async () => {
  const site = await bed.site('keys');
  const stranger = await requestFor('keys');
  const denied = await stranger.send();
  assert.equal(denied.conditions?.[0]?.reason, 'UnknownKey');
  const friend = await requestFor('keys');
  await bed
    .resource('Cloudlet')
    .mergePatch('keys', undefined, { spec: { acceptedKeys: [friend.fingerprint] } });
  const issued = await friend.send();
  const pem = Buffer.from(issued.certificate ?? '', 'base64').toString();
  const ca = await secrets().get('cloudlet-ca', namespaces.authority);
  const authority = new X509Certificate(Buffer.from(ca.data?.['ca.crt'] ?? '', 'base64'));
  const cloudlet = await site.cloudlet();
  const identity = verifyAgent(new X509Certificate(pem), {
    authorities: [authority],
    now: Date.now(),
  });
  assert.equal(identity.cloudlet, 'keys');
  assert.equal(identity.cloudletId, instanceIdOf(cloudlet));
  assert.deepEqual(
    cloudlet.status?.keys?.map(({ fingerprint }) => fingerprint),
    [friend.fingerprint],
  );
  assert.equal(conditionIn(cloudlet, 'Accepted')?.status, 'True');
});

test('a revoked Cloudlet gets no certificate, not even for a key that is known', async () => {
  const site = await bed.site('revoked');
  const key = createKey();
  const first = await requestFor('revoked', key);
  const cloudlets = bed.resource('Cloudlet');
  await cloudlets.mergePatch('revoked', undefined, { spec: { acceptedKeys: [first.fingerprint] } });
  assert.ok((await first.send()).certificate);
  await cloudlets.mergePatch('revoked', undefined, { spec: { revoked: true } });
  const denied = await (await requestFor('revoked', key)).send();
  assert.equal(denied.conditions?.[0]?.reason, 'Revoked');
  assert.equal(conditionIn(await site.cloudlet(), 'Ready')?.reason, 'Revoked');
});

test('Flavors, Zones and Apps stay while something refers to them, and go with the last of it', async () => {
  await bed.create('Flavor', 'kept', { vcpus: '1', memory: '1Mi' });
  await app('kept', { defaultFlavorRef: { name: 'kept' } });
  await eventually('the Flavor is held', async () =>
    (await bed.resource('Flavor').get('kept')).metadata.finalizers?.length ? true : undefined,
  );
  await eventually('the App is held', async () =>
    (await bed.resource('App').get('kept', 'shop')).metadata.finalizers?.length ? true : undefined,
  );
  await appInst('kept', { appRef: { name: 'kept' }, cloudletRef: { name: 'nowhere' } });
  await ready('kept', 'CloudletNotFound', 'False');
  await bed.resource('Flavor').delete('kept');
  await bed.resource('App').delete('kept', 'shop');
  await eventually('the App says who uses it', async () => {
    const object = await bed.resource<App>('App').get('kept', 'shop');
    return (
      conditionIn(object, 'Ready')?.message === 'It is used by AppInst shop/kept.' || undefined
    );
  });
  await bed.resource('AppInst').delete('kept', 'shop');
  await isGone(() => bed.resource('App').get('kept', 'shop'));
  await isGone(() => bed.resource('Flavor').get('kept'));
});

test('a namespace that is labelled as an organization is bound, and unbound with the label', async () => {
  const label = (value: string) =>
    bed.region.kubectl(['label', 'namespace', 'friend', `edge.cloudlet.dev/organization${value}`]);
  const binding = () =>
    bed.region.kubectl(['get', 'rolebinding', 'cloudlet-operator', '-n', 'friend', '-o', 'name']);
  await label('=true');
  await eventually('a RoleBinding', () => binding().catch(() => undefined));
  await label('-');
  await eventually('none', () =>
    binding().then(
      () => undefined,
      () => true,
    ),
  );
});
