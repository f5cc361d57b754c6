/**
 * What a thief gets: with the hub's own token, on a real API server; and what the roles around it keep apart.
 * The threat model tells the same in words, the part that stays included.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type AppInst, fieldManagers, groupVersion, siteGroup, siteUser } from '@cloudlet/crds';
import { ForbiddenError, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  type KubernetesClient,
  type KubernetesObject,
} from '@cloudlet/runtime/kubernetes';
import { repositoryRoot, until } from '../testbed/index.ts';
import { accountKubeconfig } from '../testbed/region/install.ts';
import { accountOf, type HubBed, openHubBed, refused, typeOf } from './hub-bed.ts';

const appInstType = typeOf('AppInst');
let bed: HubBed;
/** With the hub's token, and nothing else. */
let thief: KubernetesClient;
let web: KubernetesObject;

before(async () => {
  bed = await openHubBed('stolen-');
  const { kubectl } = bed.region;
  await kubectl(['create', 'namespace', 'shop']);
  await kubectl(['create', 'secret', 'generic', 'keys', '-n', 'shop', '--from-literal=token=x']);
  await kubectl(['create', 'secret', 'generic', 'cloudlet-ca', '-n', 'cloudlet-authority']);
  web = await bed.create(
    'AppInst',
    { name: 'web', namespace: 'shop' },
    { appRef: { name: 'web' }, cloudletRef: { name: 'north' } },
  );
  const appInsts = bed.client.resource<KubernetesObject>(appInstType);
  const placed = { ...web, status: { placement: { cloudlet: 'north', sequence: 1 } } };
  web = await appInsts.apply({ ...identityOf(placed), status: placed.status } as KubernetesObject, {
    fieldManager: fieldManagers.operator,
    subresource: 'status',
  });
  const kubeconfig = join(bed.dir, 'hub.kubeconfig');
  await writeFile(
    kubeconfig,
    await accountKubeconfig(bed.region, 'cloudlet-hub', 'cloudlet-system'),
  );
  thief = createClient({
    kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'thief',
  });
});

after(async () => {
  await thief?.close();
  await bed[Symbol.asyncDispose]();
});

const identityOf = ({ metadata: { name, namespace } }: KubernetesObject) => ({
  apiVersion: groupVersion,
  kind: 'AppInst',
  metadata: { name, namespace },
});

const report = (site: string, status: object = {}) =>
  thief.resource<AppInst>(appInstType).apply(
    {
      ...identityOf(web),
      status: {
        site: { uid: web.metadata.uid, boot: 'boot-1', sequence: 1, placement: 1 },
        ...status,
      },
    } as unknown as AppInst,
    {
      fieldManager: fieldManagers.agent,
      force: true,
      subresource: 'status',
      impersonate: { user: siteUser(site) },
    },
  );

const denied = (attempt: Promise<unknown>): Promise<void> =>
  assert.rejects(attempt, (error) => error instanceof ForbiddenError);

const edge = '/apis/edge.cloudlet.dev/v1alpha1';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const binding = {
  metadata: { name: 'mine' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ kind: 'ServiceAccount', name: 'cloudlet-hub', namespace: 'cloudlet-system' }],
};

for (const [what, method, path, body] of [
  ['read the Secrets of a tenant', 'GET', '/api/v1/namespaces/shop/secrets/keys'],
  ["read the region's CA key", 'GET', '/api/v1/namespaces/cloudlet-authority/secrets/cloudlet-ca'],
  ['list the Secrets beside its own', 'GET', '/api/v1/namespaces/cloudlet-system/secrets'],
  ['change what an instance shall be', 'PATCH', `${edge}/namespaces/shop/appinsts/web`, {}],
  ['delete an instance', 'DELETE', `${edge}/namespaces/shop/appinsts/web`],
  ['accept a key', 'POST', `${edge}/cloudlets`, { metadata: { name: 'mine' } }],
  ['write a status as itself', 'PATCH', `${edge}/namespaces/shop/appinsts/web/status`, {}],
  ['give itself rights', 'POST', `${rbac}/clusterrolebindings`, binding],
  ['run a pod', 'POST', '/api/v1/namespaces/cloudlet-system/pods', { metadata: { name: 'x' } }],
  [
    'mint a token',
    'POST',
    '/api/v1/namespaces/cloudlet-system/serviceaccounts/cloudlet-operator/token',
    {},
  ],
] as const)
  test(`the hub's token does not ${what}`, () =>
    denied(
      thief.request(method, path, {
        ...(body ? { body } : {}),
        ...(method === 'PATCH' ? { contentType: 'application/merge-patch+json' } : {}),
      }),
    ));

test("the hub's token impersonates sites, and no person, group or other account", async () => {
  const path = `${edge}/cloudlets`;
  for (const user of ['kubernetes-admin', accountOf('operator'), 'system:serviceaccount:shop:any'])
    await assert.rejects(
      thief.request('GET', path, { impersonate: { user } }),
      /cannot impersonate/,
    );
  for (const group of ['system:masters', siteGroup])
    await assert.rejects(
      thief.request('GET', path, { impersonate: { user: siteUser('north'), groups: [group] } }),
      /cannot impersonate/,
    );
});

test('a stolen hub speaks for every site, and for each within the walls of that site', async () => {
  await report('north'); // this is what stays: see docs/threat-model.md
  await refused(report('south'), /./);
  await refused(report('north', { uri: 'https://evil.example' }), /./);
});

test('with constrained impersonation a site is impersonated for its status and for nothing else', async () => {
  const manifest = join(repositoryRoot, 'operator/manifests/constrained');
  await bed.region.kubectl(['apply', '--server-side', '--force-conflicts', '-f', manifest]);
  const asSite = { impersonate: { user: siteUser('north') } };
  await until('the old right to be gone', 20_000, async () =>
    assert.rejects(
      thief.request('GET', `${edge}/cloudlets`, asSite),
      /cloudlet-hub" cannot impersonate/,
    ),
  );
  await denied(thief.request('GET', '/api/v1/namespaces/shop/secrets', asSite));
  await report('north', { conditions: [] });
  const other = { impersonate: { user: accountOf('operator') } };
  await denied(thief.request('GET', `${edge}/cloudlets`, other));
});

test('who hands out the join of one site reads that join, and no other Secret beside it', async () => {
  const { kubectl } = bed.region;
  const names = ['join-north', 'join-south', 'cloudlet-hub-tls'];
  for (const name of names)
    await kubectl(['create', 'secret', 'generic', name, '-n', 'cloudlet-system']);
  // As docs/threat-model.md says it.
  await kubectl([
    ...['create', 'role', 'join-north', '-n', 'cloudlet-system', '--verb=get,delete'],
    ...['--resource=secrets', '--resource-name=join-north'],
  ]);
  const bind = ['create', 'rolebinding', 'join-north', '-n', 'cloudlet-system'];
  await kubectl([...bind, '--role=join-north', '--user=installer']);
  const read = (name: string) =>
    kubectl(['get', 'secret', name, '-n', 'cloudlet-system', '--as=installer', '-o', 'name']);
  // The API server learns of a binding by a watch of its own, a moment after it has stored it.
  const found = await until('the binding to count', 30_000, () => read('join-north'));
  assert.match(found, /join-north/);
  for (const name of names.slice(1)) await assert.rejects(read(name), /forbidden/i);
  await assert.rejects(
    kubectl(['get', 'secrets', '-n', 'cloudlet-system', '--as=installer']),
    /forbidden/i,
  );
});
