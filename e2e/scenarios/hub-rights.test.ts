/**
 * Rights on a real API server: what each process of the region and each role may do, and what the admission
 * policies ask of people.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type AppInst, groupVersion, siteGroup, siteUser } from '@cloudlet/crds';
import type { KubernetesClient, KubernetesObject } from '@cloudlet/runtime/kubernetes';
import { expect, until } from '../testbed/process.ts';
import { accountOf as account, type HubBed, openHubBed, refused, typeOf } from './hub-bed.ts';

const appInstType = typeOf('AppInst');

let bed: HubBed;
let client: KubernetesClient;

before(async () => {
  bed = await openHubBed('rights-');
  client = bed.client;
  await bed.region.kubectl(['create', 'namespace', 'shop']);
  const people = { dev: 'cloudlet-developer-contributor', eve: 'cloudlet-developer-viewer' };
  for (const [user, role] of Object.entries(people))
    await bed.region.kubectl([
      ...['create', 'rolebinding', user, '--namespace=shop'],
      ...[`--clusterrole=${role}`, `--user=${user}`],
    ]);
  await bed.region.kubectl([
    ...['create', 'clusterrolebinding', 'boss', '--clusterrole=cloudlet-admin', '--user=boss'],
  ]);
  await soonAllowed({ user: 'boss', verb: 'create', resource: 'cloudlets', ...edge }, true);
});

after(() => bed[Symbol.asyncDispose]());

interface Question {
  readonly user: string;
  readonly groups?: readonly string[];
  readonly verb: string;
  readonly resource: string;
  readonly group?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
}

async function isAllowed({ user, groups, ...resourceAttributes }: Question): Promise<boolean> {
  const review = (await client.request(
    'POST',
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user, groups, resourceAttributes },
      },
    },
  )) as { status: { allowed: boolean } };
  return review.status.allowed;
}

/** The API server learns of a binding by a watch of its own, a moment after it has stored it. */
const soonAllowed = (question: Question, wanted: boolean): Promise<void> =>
  until('the binding to count', 30_000, async () => {
    expect((await isAllowed(question)) === wanted, `allowed is not ${wanted} yet`);
  });

const site = { user: siteUser('site-a'), groups: [siteGroup, 'system:serviceaccounts'] };
const edge = { group: 'edge.cloudlet.dev' };
const access = { group: 'access.edge.cloudlet.dev', namespace: 'shop' };
const system = { namespace: 'cloudlet-system' };

const verbs: readonly (readonly [expected: boolean, question: Question])[] = [
  [
    true,
    {
      user: account('hub'),
      verb: 'impersonate',
      resource: 'serviceaccounts',
      namespace: 'cloudlet-sites',
      name: 'any',
    },
  ],
  [
    false,
    {
      user: account('hub'),
      verb: 'impersonate',
      resource: 'serviceaccounts',
      ...system,
      name: 'cloudlet-operator',
    },
  ],
  [false, { user: account('hub'), verb: 'impersonate', resource: 'users', name: 'admin' }],
  [
    false,
    { user: account('hub'), verb: 'impersonate', resource: 'groups', name: 'system:masters' },
  ],
  [true, { user: account('hub'), verb: 'watch', resource: 'appinsts', ...edge }],
  [
    false,
    { user: account('hub'), verb: 'patch', resource: 'appinsts', subresource: 'status', ...edge },
  ],
  [false, { user: account('hub'), verb: 'update', resource: 'cloudletledgers', ...edge }],
  [
    true,
    { user: account('hub'), verb: 'watch', resource: 'secrets', namespace: 'cloudlet-secrets' },
  ],
  [
    false,
    { user: account('hub'), verb: 'create', resource: 'secrets', namespace: 'cloudlet-secrets' },
  ],
  [false, { user: account('hub'), verb: 'list', resource: 'secrets', ...system }],
  [false, { user: account('hub'), verb: 'get', resource: 'secrets', namespace: 'shop' }],
  [
    false,
    {
      user: account('hub'),
      verb: 'approve',
      resource: 'signers',
      group: 'certificates.k8s.io',
      name: 'edge.cloudlet.dev/agent',
    },
  ],
  [
    true,
    {
      user: account('operator'),
      verb: 'sign',
      resource: 'signers',
      group: 'certificates.k8s.io',
      name: 'edge.cloudlet.dev/agent',
    },
  ],
  [
    false,
    {
      user: account('operator'),
      verb: 'sign',
      resource: 'signers',
      group: 'certificates.k8s.io',
      name: 'kubernetes.io/kube-apiserver-client',
    },
  ],
  [false, { user: account('operator'), verb: 'get', resource: 'secrets', namespace: 'shop' }],
  [
    false,
    {
      user: account('operator'),
      verb: 'impersonate',
      resource: 'serviceaccounts',
      namespace: 'cloudlet-sites',
      name: 'any',
    },
  ],
  [true, { user: account('operator'), verb: 'update', resource: 'cloudletledgers', ...edge }],
  [
    true,
    {
      user: account('access'),
      verb: 'get',
      resource: 'secrets',
      ...system,
      name: 'cloudlet-access-tls',
    },
  ],
  [
    false,
    {
      user: account('access'),
      verb: 'get',
      resource: 'secrets',
      namespace: 'cloudlet-authority',
      name: 'cloudlet-ca',
    },
  ],
  [
    false,
    {
      user: account('hub'),
      verb: 'get',
      resource: 'secrets',
      namespace: 'cloudlet-authority',
      name: 'cloudlet-ca',
    },
  ],
  [
    false,
    {
      user: account('access'),
      verb: 'impersonate',
      resource: 'serviceaccounts',
      namespace: 'cloudlet-sites',
      name: 'any',
    },
  ],
  [false, { user: account('access'), verb: 'list', resource: 'appinsts', ...edge }],
  [
    true,
    {
      ...site,
      verb: 'patch',
      resource: 'appinsts',
      subresource: 'status',
      namespace: 'shop',
      ...edge,
    },
  ],
  [true, { ...site, verb: 'patch', resource: 'cloudlets', subresource: 'status', ...edge }],
  [
    false,
    {
      ...site,
      verb: 'update',
      resource: 'appinsts',
      subresource: 'status',
      namespace: 'shop',
      ...edge,
    },
  ],
  [false, { ...site, verb: 'patch', resource: 'appinsts', namespace: 'shop', ...edge }],
  [false, { ...site, verb: 'get', resource: 'appinsts', namespace: 'shop', ...edge }],
  [false, { ...site, verb: 'get', resource: 'cloudletledgers', ...edge }],
  [false, { ...site, verb: 'get', resource: 'secrets', namespace: 'cloudlet-secrets' }],
  ...(['exec', 'log', 'portforward'] as const).map(
    (subresource) =>
      [true, { user: 'dev', verb: 'get', resource: 'appinsts', subresource, ...access }] as const,
  ),
  [
    false,
    {
      user: 'dev',
      verb: 'get',
      resource: 'appinsts',
      subresource: 'exec',
      ...access,
      namespace: 'other',
    },
  ],
  [false, { user: 'eve', verb: 'get', resource: 'appinsts', subresource: 'exec', ...access }],
  [true, { user: 'eve', verb: 'get', resource: 'appinsts', namespace: 'shop', ...edge }],
  [false, { user: 'dev', verb: 'get', resource: 'cloudlets', ...edge }],
  [
    false,
    { user: 'dev', verb: 'get', resource: 'cloudlets', subresource: 'shell', group: access.group },
  ],
  [
    true,
    { user: 'boss', verb: 'get', resource: 'cloudlets', subresource: 'shell', group: access.group },
  ],
  [false, { user: 'boss', verb: 'update', resource: 'cloudletledgers', ...edge }],
];

for (const [expected, question] of verbs) {
  const { user, verb, resource, subresource, namespace, name } = question;
  const what = [
    verb,
    [resource, subresource].filter(Boolean).join('/'),
    name,
    namespace && `in ${namespace}`,
  ];
  test(`${user.split(':').at(-1)} ${expected ? 'may' : 'may not'} ${what.filter(Boolean).join(' ')}`, async () =>
    assert.equal(await isAllowed(question), expected));
}

const useNorth = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRole',
  metadata: { name: 'use-north' },
  rules: [
    {
      apiGroups: ['edge.cloudlet.dev'],
      resources: ['zones'],
      resourceNames: ['north'],
      verbs: ['use'],
    },
  ],
};

const developer = { impersonate: { user: 'dev', groups: ['developers'] } };

test('a developer needs the verb use on what a reference names, and keeps what stands', async () => {
  const appInsts = client.resource<AppInst>(appInstType);
  const object = (name: string, spec: object) => ({
    apiVersion: groupVersion,
    kind: 'AppInst',
    metadata: { name, namespace: 'shop' },
    spec: { appRef: { name: 'web' }, ...spec },
  });
  const zoned = (zone: string) => object(`in-${zone}`, { zoneRef: { name: zone } });
  await refused(appInsts.create(zoned('north'), developer), /you may not use north/);
  await bed.region.kubectl(['create', '-f', '-'], { input: JSON.stringify(useNorth) });
  await bed.region.kubectl([
    'create',
    'clusterrolebinding',
    'use-north',
    '--clusterrole=use-north',
    '--user=dev',
  ]);
  await soonAllowed({ user: 'dev', verb: 'use', resource: 'zones', name: 'north', ...edge }, true);
  await appInsts.create(zoned('north'), developer);
  await refused(appInsts.create(zoned('south'), developer), /you may not use south/);
  await refused(
    appInsts.create(object('direct', { cloudletRef: { name: 'site-a' } }), developer),
    /you may not use site-a: the verb use on cloudlets/,
  );
  await bed.region.kubectl(['delete', 'clusterrolebinding', 'use-north']);
  await soonAllowed({ user: 'dev', verb: 'use', resource: 'zones', name: 'north', ...edge }, false);
  await appInsts.mergePatch('in-north', 'shop', { spec: { replicas: 2 } }, developer);
  await refused(
    appInsts.mergePatch('in-north', 'shop', { spec: { zoneRef: { name: 'south' } } }, developer),
    /you may not use south/,
  );
});

test('only who has the verb abandon may let a site or an instance go', async () => {
  const annotations = { 'edge.cloudlet.dev/abandon': 'true' };
  const appInsts = client.resource<AppInst>(appInstType);
  await refused(
    appInsts.mergePatch('in-north', 'shop', { metadata: { annotations } }, developer),
    /the verb abandon/,
  );
  await appInsts.mergePatch('in-north', 'shop', { metadata: { annotations } });
  await appInsts.mergePatch('in-north', 'shop', { spec: { replicas: 3 } }, developer);
});

test('an instance id cannot be changed', async () => {
  const id = (value: string) => ({
    metadata: { annotations: { 'edge.cloudlet.dev/instance-id': value } },
  });
  const operator = { impersonate: { user: account('operator') } };
  const appInsts = client.resource<AppInst>(appInstType);
  await appInsts.mergePatch('in-north', 'shop', id('first'), operator);
  await refused(
    appInsts.mergePatch('in-north', 'shop', id('second'), developer),
    /cannot be changed/,
  );
});

test('a ledger is written by the operator alone', async () => {
  const ledgers = client.resource<KubernetesObject>(typeOf('CloudletLedger'));
  const operator = { impersonate: { user: account('operator') } };
  const ledger = {
    apiVersion: groupVersion,
    kind: 'CloudletLedger',
    metadata: { name: 'site-a' },
    spec: { cloudletId: 'a', sequence: 1 },
  };
  await ledgers.create(ledger, operator);
  await refused(
    ledgers.mergePatch('site-a', undefined, { spec: { sequence: 9 } }),
    /by the operator alone/,
  );
  await ledgers.mergePatch('site-a', undefined, { metadata: { labels: { seen: 'true' } } });
  const current = await ledgers.get('site-a');
  await ledgers.replace(
    { ...current, spec: { cloudletId: 'a', sequence: 2 } } as KubernetesObject,
    operator,
  );
});

test('the operator binds its role to itself, in organizations only', async () => {
  const operator = { impersonate: { user: account('operator') } };
  const bindings = client.resource<KubernetesObject>({
    group: 'rbac.authorization.k8s.io',
    version: 'v1',
    plural: 'rolebindings',
    kind: 'RoleBinding',
    namespaced: true,
  });
  const binding = (
    namespace: string,
    subject = 'cloudlet-operator',
    role = 'cloudlet-operator-tenant',
  ) => ({
    metadata: { name: 'cloudlet-operator', namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'ServiceAccount', name: subject, namespace: 'cloudlet-system' }],
  });
  await refused(bindings.create(binding('shop'), operator), /in namespaces labelled/);
  await bed.region.kubectl(['label', 'namespace', 'shop', 'edge.cloudlet.dev/organization=true']);
  await refused(bindings.create(binding('shop', 'other'), operator), /to itself only/);
  await assert.rejects(bindings.create(binding('shop', 'cloudlet-operator', 'admin'), operator));
  await bindings.create(binding('shop'), operator);
  const question = { user: account('operator'), verb: 'get', resource: 'secrets' };
  await soonAllowed({ ...question, namespace: 'shop' }, true);
  assert.equal(await isAllowed({ ...question, namespace: 'default' }), false);
});
