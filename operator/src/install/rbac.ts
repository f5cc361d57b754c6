/**
 * RBAC of the region's processes and of sites, from the declared accesses.
 *
 * Guarantees: a process holds what `accesses.ts` declares and nothing else; no wildcard; nobody but the hub
 * may impersonate, and it only names of `cloudlet-sites`; where the API server knows constrained
 * impersonation, only to patch a status.
 */
import { namespaces, siteGroup } from '@cloudlet/crds';
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

/**
 * In the place of the hub's right to impersonate, for API servers from 1.36 on, which ask for what besides
 * for whom. (An earlier one knows none of these verbs, and would refuse every report.)
 */
export function constrainedManifests(): readonly Manifest[] {
  const metadata = { name: accountOf('hub'), namespace: namespaces.sites };
  const name = `${accountOf('hub')}-impersonation`;
  return [
    role('Role', metadata, [
      {
        group: 'authentication.k8s.io',
        resources: ['serviceaccounts'],
        verbs: ['impersonate:serviceaccount'],
        why: 'status is written as the site',
      },
    ]),
    role(
      'ClusterRole',
      { name },
      siteAccesses.map(({ verbs, ...access }) => ({
        ...access,
        verbs: verbs.map((verb) => `impersonate-on:serviceaccount:${verb}`),
      })),
    ),
    binding('ClusterRoleBinding', { name }, 'ClusterRole', subjectOf('hub')),
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
