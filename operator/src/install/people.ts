/**
 * Roles for people, in three steps each: viewer, contributor, manager, of which each includes the one before.
 * Those of developers are for namespaces, and Kubernetes' own view, edit and admin include them; those of
 * operators are for who runs sites. Which zones and sites a tenant may use is granted by name, with the verb
 * `use`, and by none of the roles for developers.
 */
import { accessGroup, apiGroup } from '@cloudlet/crds';
import { type Manifest, manifest } from './manifest.ts';

const rbacGroup = 'rbac.authorization.k8s.io';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly resourceNames?: readonly string[];
}

const read = ['get', 'list', 'watch'];
const write = ['create', 'update', 'patch'];
const remove = ['delete', 'deletecollection'];

const tenantKinds = ['apps', 'appinsts', 'clusters'];
const siteKinds = ['zones', 'cloudlets'];

const ours = (resources: readonly string[], ...verbs: readonly (readonly string[])[]): Rule => ({
  apiGroups: [apiGroup],
  resources,
  verbs: verbs.flat(),
});

/** The API server asks `get` for a WebSocket and `create` for a POST. */
const sessions = (...resources: string[]): Rule => ({
  apiGroups: [accessGroup],
  resources,
  verbs: ['get', 'create'],
});

const instanceSessions = sessions('appinsts/exec', 'appinsts/log', 'appinsts/portforward');
const scale = ours(['appinsts/scale'], ['get', 'update', 'patch']);

export const developerRoles = [
  'cloudlet-developer-viewer',
  'cloudlet-developer-contributor',
  'cloudlet-developer-manager',
] as const;

/** Who manages an organization lets others in, as what the organization has and nothing else. */
const members: readonly Rule[] = [
  {
    apiGroups: [rbacGroup],
    resources: ['rolebindings'],
    verbs: [...read, ...write, 'delete'],
  },
  {
    apiGroups: [rbacGroup],
    resources: ['clusterroles'],
    verbs: ['bind'],
    resourceNames: developerRoles,
  },
];

const viewing = [ours(tenantKinds, read)];
const contributing = [ours(tenantKinds, read, write, remove), scale, instanceSessions];

const lookingAtSites = [ours([...siteKinds, 'flavors', 'cloudletledgers'], read)];
const keepingSites = [
  ours([...siteKinds, 'flavors'], read, write),
  ours(['cloudletledgers'], read),
];
const managingSites = [
  ours([...siteKinds, 'flavors'], read, write, remove, ['use']),
  ours(['cloudlets', 'appinsts'], ['abandon']),
  ours(['cloudletledgers'], read, ['restore']),
  sessions('cloudlets/shell'),
];

export function peopleManifests(): readonly Manifest[] {
  return [
    people('cloudlet-developer-viewer', viewing, 'view', 'edit', 'admin'),
    people('cloudlet-developer-contributor', contributing, 'edit', 'admin'),
    people('cloudlet-developer-manager', [...contributing, ...members], 'admin'),
    people('cloudlet-catalog', [ours(['zones', 'flavors'], read)]),
    people('cloudlet-operator-viewer', lookingAtSites),
    people('cloudlet-operator-contributor', keepingSites),
    people('cloudlet-operator-manager', managingSites),
    people('cloudlet-admin', [
      ours([...siteKinds, 'flavors', ...tenantKinds], read, write, remove, ['use', 'abandon']),
      ours(['cloudletledgers'], read, ['restore']),
      scale,
      instanceSessions,
      sessions('cloudlets/shell'),
    ]),
  ];
}

function people(
  name: string,
  rules: readonly Rule[],
  ...includedIn: readonly ('view' | 'edit' | 'admin')[]
): Manifest {
  const labels = Object.fromEntries(
    includedIn.map((role) => [`${rbacGroup}/aggregate-to-${role}`, 'true']),
  );
  return manifest(`${rbacGroup}/v1`, 'ClusterRole', { name, labels }, { rules });
}
