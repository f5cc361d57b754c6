/**
 * RBAC of the region's processes and of sites, from the declared accesses; roles for people.
 *
 * Guarantees: a process holds what `accesses.ts` declares and nothing else; no wildcard; nobody but the hub
 * may impersonate, and it only names of `cloudlet-sites`.
 */
import { accessGroup, apiGroup, namespaces, siteGroup } from '@cloudlet/crds';
import { tenantRole } from '../controllers/organization/reconcile.ts';
import {
  type Access,
  accesses,
  accountOf,
  processes,
  type ProcessName,
  siteAccesses,
  tenantAccesses,
} from './accesses.ts';
import { type Manifest, manifest } from './manifest.ts';

const rbac = 'rbac.authorization.k8s.io/v1';
const rbacGroup = 'rbac.authorization.k8s.io';

export function namespaceManifests(): readonly Manifest[] {
  return [
    manifest('v1', 'Namespace', {
      name: namespaces.system,
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    }),
    manifest('v1', 'Namespace', { name: namespaces.authority }),
    manifest('v1', 'Namespace', { name: namespaces.sites }),
    manifest('v1', 'Namespace', { name: namespaces.secrets }),
    ...processes.map((process) =>
      manifest('v1', 'ServiceAccount', { name: accountOf(process), namespace: namespaces.system }),
    ),
  ];
}

export function rbacManifests(): readonly Manifest[] {
  return [
    ...processes.flatMap((process) => rolesOf(process)),
    role('ClusterRole', { name: tenantRole }, tenantAccesses),
    role('ClusterRole', { name: 'cloudlet-site' }, siteAccesses),
    binding('ClusterRoleBinding', { name: 'cloudlet-site' }, 'ClusterRole', {
      apiGroup: rbacGroup,
      kind: 'Group',
      name: siteGroup,
    }),
    // Whose front proxy to believe is written in a ConfigMap that this role of Kubernetes lets one read.
    manifest(
      rbac,
      'RoleBinding',
      { name: 'cloudlet-access-authentication-reader', namespace: 'kube-system' },
      {
        roleRef: {
          apiGroup: rbacGroup,
          kind: 'Role',
          name: 'extension-apiserver-authentication-reader',
        },
        subjects: [subjectOf('access')],
      },
    ),
  ];
}

function rolesOf(process: ProcessName): readonly Manifest[] {
  const name = accountOf(process);
  const scopes = [...new Set(accesses[process].map((access) => access.in))];
  return scopes.flatMap((scope) => {
    const rules = accesses[process].filter((access) => access.in === scope);
    if (scope === 'cluster')
      return [
        role('ClusterRole', { name }, rules),
        binding('ClusterRoleBinding', { name }, 'ClusterRole', subjectOf(process)),
      ];
    const metadata = { name, namespace: scope };
    return [
      role('Role', metadata, rules),
      binding('RoleBinding', metadata, 'Role', subjectOf(process)),
    ];
  });
}

function role(
  kind: 'Role' | 'ClusterRole',
  metadata: Manifest['metadata'],
  rules: readonly Omit<Access, 'in'>[],
): Manifest {
  return manifest(rbac, kind, metadata, {
    rules: rules.map(({ group, resources, verbs, names }) => ({
      apiGroups: [group],
      resources,
      verbs,
      ...(names ? { resourceNames: names } : {}),
    })),
  });
}

function binding(
  kind: 'RoleBinding' | 'ClusterRoleBinding',
  metadata: Manifest['metadata'],
  roleKind: 'Role' | 'ClusterRole',
  subject: object,
): Manifest {
  return manifest(rbac, kind, metadata, {
    roleRef: { apiGroup: rbacGroup, kind: roleKind, name: metadata.name },
    subjects: [subject],
  });
}

const subjectOf = (process: ProcessName): object => ({
  kind: 'ServiceAccount',
  name: accountOf(process),
  namespace: namespaces.system,
});

const readVerbs = ['get', 'list', 'watch'];
const writeVerbs = [...readVerbs, 'create', 'update', 'patch', 'delete', 'deletecollection'];
const tenantKinds = ['apps', 'appinsts', 'clusters'];
const siteKinds = ['zones', 'flavors', 'cloudlets'];
/** The API server asks `get` for a WebSocket and `create` for a POST. */
const sessionVerbs = ['get', 'create'];

const ours = (resources: readonly string[], verbs: readonly string[]): object => ({
  apiGroups: [apiGroup],
  resources,
  verbs,
});
const sessions = (...resources: string[]): object => ({
  apiGroups: [accessGroup],
  resources,
  verbs: sessionVerbs,
});

/** Roles for people. Which zones and sites a tenant may use is granted by name, with the verb `use`. */
export function peopleManifests(): readonly Manifest[] {
  const aggregate = (to: string) => ({ [`${rbacGroup}/aggregate-to-${to}`]: 'true' });
  const people = (name: string, rules: readonly object[], labels: Record<string, string> = {}) =>
    manifest(rbac, 'ClusterRole', { name, labels }, { rules });
  return [
    people('cloudlet-viewer', [ours(tenantKinds, readVerbs)], {
      ...aggregate('view'),
      ...aggregate('edit'),
      ...aggregate('admin'),
    }),
    people(
      'cloudlet-developer',
      [
        ours(tenantKinds, writeVerbs),
        ours(['appinsts/scale'], ['get', 'update', 'patch']),
        sessions('appinsts/exec', 'appinsts/log', 'appinsts/portforward'),
      ],
      { ...aggregate('edit'), ...aggregate('admin') },
    ),
    people('cloudlet-catalog', [ours(['zones', 'flavors'], readVerbs)]),
    people('cloudlet-admin', [
      ours([...siteKinds, ...tenantKinds], [...writeVerbs, 'use', 'abandon']),
      ours(['appinsts/scale'], ['get', 'update', 'patch']),
      ours(['cloudletledgers'], readVerbs),
      sessions('appinsts/exec', 'appinsts/log', 'appinsts/portforward', 'cloudlets/shell'),
    ]),
  ];
}
