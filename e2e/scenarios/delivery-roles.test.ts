/** Who may do what: every role for people, asked of a real API server, verb by verb. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessGroup, apiGroup } from '@cloudlet/crds';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import { createClient, type KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { type EmbeddedControlPlane, expect, startControlPlane, until } from '../testbed/index.ts';
import { installRegion } from '../testbed/region/install.ts';

const roles = [
  'cloudlet-developer-viewer',
  'cloudlet-developer-contributor',
  'cloudlet-developer-manager',
  'cloudlet-operator-viewer',
  'cloudlet-operator-contributor',
  'cloudlet-operator-manager',
  'cloudlet-catalog',
  'cloudlet-admin',
] as const;

/** What is asked, and for each role in the order above whether it may: y or -. */
const table: readonly (readonly [string, string, string])[] = [
  ['get', 'apps', 'yyy----y'],
  ['watch', 'appinsts', 'yyy----y'],
  ['create', 'apps', '-yy----y'],
  ['update', 'appinsts', '-yy----y'],
  ['patch', 'appinsts/scale', '-yy----y'],
  ['delete', 'appinsts', '-yy----y'],
  ['deletecollection', 'clusters', '-yy----y'],
  ['patch', 'appinsts/status', '--------'],
  ['abandon', 'appinsts', '-----y-y'],
  ['get', 'appinsts/exec', '-yy----y'],
  ['create', 'appinsts/log', '-yy----y'],
  ['get', 'cloudlets/shell', '-----y-y'],
  ['list', 'zones', '---yyyyy'],
  ['list', 'flavors', '---yyyyy'],
  ['get', 'cloudlets', '---yyy-y'],
  ['create', 'cloudlets', '----yy-y'],
  ['patch', 'cloudlets', '----yy-y'],
  ['delete', 'cloudlets', '-----y-y'],
  ['abandon', 'cloudlets', '-----y-y'],
  ['use', 'zones', '-----y-y'],
  ['use', 'cloudlets', '-----y-y'],
  ['patch', 'cloudlets/status', '--------'],
  ['get', 'cloudletledgers', '---yyy-y'],
  ['update', 'cloudletledgers', '--------'],
  ['restore', 'cloudletledgers', '-----y-y'],
  ['create', 'rolebindings', '--y-----'],
  ['create', 'roles', '--------'],
  ['get', 'secrets', '--------'],
];

/** What Kubernetes' own roles give in a namespace, once ours are part of them. */
const aggregated: readonly (readonly [string, string, string])[] = [
  ['get', 'appinsts', 'yyy'],
  ['create', 'appinsts', '-yy'],
  ['get', 'appinsts/exec', '-yy'],
  ['delete', 'apps', '-yy'],
  ['get', 'cloudlets', '---'],
  ['use', 'zones', '---'],
];
const builtIn = ['view', 'edit', 'admin'] as const;

const core = new Set(['secrets']);
const rbac = new Set(['rolebindings', 'roles']);
const groupOf = (resource: string, subresource?: string): string => {
  if (core.has(resource)) return '';
  if (rbac.has(resource)) return 'rbac.authorization.k8s.io';
  const isSession = ['exec', 'log', 'portforward', 'shell'].includes(subresource ?? '');
  return isSession ? accessGroup : apiGroup;
};

let dir: string;
let region: EmbeddedControlPlane;
let client: KubernetesClient;
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'delivery-roles-'));
  region = await startControlPlane({ dir });
  await installRegion(region);
  client = createClient({
    kubeconfig: region.kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'delivery-roles',
  });
  await region.kubectl(['create', 'namespace', 'shop']);
  // Those of operators are for the whole cluster; bound there, a developer's would be too.
  const bindings = [...roles, ...builtIn].map((role) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    ...(role.startsWith('cloudlet-developer') || !role.startsWith('cloudlet')
      ? { kind: 'RoleBinding', metadata: { name: `try-${role}`, namespace: 'shop' } }
      : { kind: 'ClusterRoleBinding', metadata: { name: `try-${role}` } }),
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: role }],
  }));
  const list = { apiVersion: 'v1', kind: 'List', items: bindings };
  await region.kubectl(['create', '-f', '-'], { input: JSON.stringify(list) });
});
after(async () => {
  await client?.close();
  await region?.stop();
  await rm(dir, { recursive: true, force: true, maxRetries: 5 });
});

/** The table's letters as the API server gives them, a string for each row. */
async function ask(
  rows: readonly (readonly [string, string, string])[],
  users: readonly string[],
): Promise<(readonly [string, string, string])[]> {
  return Promise.all(
    rows.map(async ([verb, what]) => {
      const answers = await Promise.all(users.map((user) => isAllowed(user, verb, what)));
      return [verb, what, answers.map((allowed) => (allowed ? 'y' : '-')).join('')] as const;
    }),
  );
}

async function isAllowed(user: string, verb: string, what: string): Promise<boolean> {
  const [resource = '', subresource] = what.split('/');
  const where = { namespace: 'shop', group: groupOf(resource, subresource), resource };
  const resourceAttributes = { verb, ...where, ...(subresource && { subresource }) };
  const review = (await client.request(
    'POST',
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      body: {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SubjectAccessReview',
        spec: { user, resourceAttributes },
      },
    },
  )) as { status: { allowed: boolean } };
  return review.status.allowed;
}

test('each role may do what its row of the table says, and nothing else of it', async () => {
  assert.deepEqual(await ask(table, roles), table);
});

test("Kubernetes' own view, edit and admin include the roles of developers", async () => {
  await until('the roles to be put together', 30_000, async () => {
    const answers = await ask(aggregated, builtIn);
    expect(JSON.stringify(answers) === JSON.stringify(aggregated), JSON.stringify(answers));
  });
});

test('who manages an organization lets others in as developers, and as nothing more', async () => {
  const as = { as: 'cloudlet-developer-manager' };
  const bind = (role: string): Promise<string> =>
    region.kubectl(
      [
        ...['create', 'rolebinding', `new-${role}`, '--namespace=shop'],
        ...[`--clusterrole=${role}`, '--user=newcomer'],
      ],
      as,
    );
  await bind('cloudlet-developer-contributor');
  await assert.rejects(bind('cluster-admin'), /attempting to grant RBAC permissions/);
  await assert.rejects(bind('cloudlet-admin'), /attempting to grant RBAC permissions/);
});
