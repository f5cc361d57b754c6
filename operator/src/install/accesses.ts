/**
 * What each process of the region may do, declared once; the RBAC manifests are made of it. Each row says
 * why, so that a reader can hold it against the code.
 */
import { accessGroup, agentSigner, apiGroup, namespaces } from '@cloudlet/crds';
import { tenantBinding, tenantRole } from '../controllers/organization/reconcile.ts';
import { servingSecrets } from '../names.ts';

export interface Access {
  /** A namespace, or all of them and what has none. */
  readonly in: 'cluster' | (typeof namespaces)[keyof typeof namespaces];
  readonly group: string;
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Only objects of these names. */
  readonly names?: readonly string[];
  readonly why: string;
}

export const processes = ['operator', 'hub', 'access'] as const;
export type ProcessName = (typeof processes)[number];

export const accountOf = (process: ProcessName): string => `cloudlet-${process}`;
export const userOf = (process: ProcessName): string =>
  `system:serviceaccount:${namespaces.system}:${accountOf(process)}`;

const read = ['get', 'list', 'watch'];
const cluster = 'cluster' as const;

export const accessApiService = `v1alpha1.${accessGroup}`;

export const accesses: Readonly<Record<ProcessName, readonly Access[]>> = {
  operator: [
    {
      in: cluster,
      group: apiGroup,
      resources: ['zones', 'flavors', 'cloudlets', 'apps', 'appinsts'],
      verbs: [...read, 'update', 'patch'],
      why: 'reconciles them: finalizers and instance ids',
    },
    {
      in: cluster,
      group: apiGroup,
      resources: ['clusters'],
      verbs: [...read, 'create', 'update', 'patch', 'delete'],
      why: 'makes the Cluster `default` of each Cloudlet',
    },
    {
      in: cluster,
      group: apiGroup,
      resources: ['cloudlets', 'zones'],
      verbs: ['use'],
      why: 'that Cluster refers to its Cloudlet',
    },
    {
      in: cluster,
      group: apiGroup,
      resources: ['cloudletledgers'],
      verbs: [...read, 'create', 'update', 'delete'],
      why: 'writes what sites have given away',
    },
    {
      in: cluster,
      group: apiGroup,
      resources: ['zones', 'cloudlets', 'clusters', 'apps', 'appinsts', 'flavors'].map(
        (plural) => `${plural}/status`,
      ),
      verbs: ['update', 'patch'],
      why: 'writes its part of every status',
    },
    {
      in: cluster,
      group: apiGroup,
      resources: ['zones', 'cloudlets', 'clusters', 'apps', 'appinsts', 'flavors'].map(
        (plural) => `${plural}/finalizers`,
      ),
      verbs: ['update'],
      why: 'owner references that block deletion',
    },
    {
      in: cluster,
      group: 'apps',
      resources: ['controllerrevisions'],
      verbs: [...read, 'create', 'patch', 'delete'],
      why: 'keeps the states of Apps',
    },
    {
      in: cluster,
      group: '',
      resources: ['namespaces'],
      verbs: read,
      why: 'which namespaces are organizations',
    },
    {
      in: cluster,
      group: 'rbac.authorization.k8s.io',
      resources: ['rolebindings'],
      verbs: ['get', 'delete'],
      names: [tenantBinding],
      why: 'its own RoleBinding in each organization',
    },
    {
      in: cluster,
      group: 'rbac.authorization.k8s.io',
      resources: ['rolebindings'],
      verbs: ['create'],
      why: 'makes that; a policy refuses any other',
    },
    {
      in: cluster,
      group: 'rbac.authorization.k8s.io',
      resources: ['clusterroles'],
      verbs: ['bind'],
      names: [tenantRole],
      why: 'the one role that it binds',
    },
    {
      in: cluster,
      group: 'events.k8s.io',
      resources: ['events'],
      verbs: ['create', 'patch'],
      why: 'tells people of transitions',
    },
    {
      in: cluster,
      group: 'certificates.k8s.io',
      resources: ['certificatesigningrequests'],
      verbs: [...read, 'delete'],
      why: 'signs requests of agents, and clears those that are done',
    },
    {
      in: cluster,
      group: 'certificates.k8s.io',
      resources: ['certificatesigningrequests/approval', 'certificatesigningrequests/status'],
      verbs: ['update', 'patch'],
      why: 'approves and signs',
    },
    {
      in: cluster,
      group: 'certificates.k8s.io',
      resources: ['signers'],
      verbs: ['approve', 'sign'],
      names: [agentSigner],
      why: 'of its own signer alone',
    },
    {
      in: namespaces.system,
      group: '',
      resources: ['secrets'],
      verbs: [...read, 'create', 'update', 'patch', 'delete'],
      why: 'serving certificates, join tokens',
    },
    {
      in: namespaces.authority,
      group: '',
      resources: ['secrets'],
      verbs: ['get', 'create'],
      why: "the region's CA and hash key, which no other process may read",
    },
    {
      in: namespaces.system,
      group: 'coordination.k8s.io',
      resources: ['leases'],
      verbs: [...read, 'create', 'update', 'patch', 'delete'],
      why: "leader election, and sites' Leases",
    },
    {
      in: namespaces.secrets,
      group: '',
      resources: ['secrets'],
      verbs: [...read, 'create', 'update', 'patch', 'delete'],
      why: "copies of tenants' secrets",
    },
  ],
  hub: [
    {
      in: cluster,
      group: apiGroup,
      resources: ['cloudlets', 'cloudletledgers', 'appinsts'],
      verbs: read,
      why: 'what sites shall run, and who is let in',
    },
    {
      in: cluster,
      group: 'apps',
      resources: ['controllerrevisions'],
      verbs: read,
      why: 'plans are rendered from them',
    },
    {
      in: cluster,
      group: 'certificates.k8s.io',
      resources: ['certificatesigningrequests'],
      verbs: ['create', 'get'],
      why: 'asks for certificates of agents; it signs none',
    },
    {
      in: namespaces.secrets,
      group: '',
      resources: ['secrets'],
      verbs: read,
      why: 'values of secrets go into plans',
    },
    {
      in: namespaces.system,
      group: '',
      resources: ['secrets'],
      verbs: ['get', 'patch'],
      why: 'join tokens, whose names are those of Cloudlets, and its own certificate',
    },
    {
      in: namespaces.system,
      group: 'coordination.k8s.io',
      resources: ['leases'],
      verbs: [...read, 'create', 'patch'],
      why: "sites' Leases and its own",
    },
    {
      in: namespaces.sites,
      group: '',
      resources: ['serviceaccounts'],
      verbs: ['impersonate'],
      why: 'status is written as the site; no other account, user or group can be impersonated',
    },
  ],
  access: [
    {
      in: cluster,
      group: apiGroup,
      resources: ['appinsts', 'cloudlets'],
      verbs: ['get'],
      why: 'where an instance runs',
    },
    {
      in: cluster,
      group: 'apiregistration.k8s.io',
      resources: ['apiservices'],
      verbs: ['get', 'patch'],
      names: [accessApiService],
      why: 'tells the API server the authority of its certificate',
    },
    {
      in: namespaces.system,
      group: 'coordination.k8s.io',
      resources: ['leases'],
      verbs: ['get'],
      why: 'which hub holds the tunnel of a site',
    },
    {
      in: namespaces.system,
      group: '',
      resources: ['secrets'],
      verbs: ['get'],
      names: [servingSecrets.access],
      why: 'its certificate',
    },
  ],
};

/** In each namespace of a tenant, by a RoleBinding there and never cluster-wide. */
export const tenantAccesses: readonly Omit<Access, 'in'>[] = [
  { group: '', resources: ['secrets'], verbs: ['get'], why: 'copies the keys that Apps refer to' },
];

/** What the identity of a site may do; the policies bound it further. */
export const siteAccesses: readonly Omit<Access, 'in'>[] = [
  {
    group: apiGroup,
    resources: ['appinsts/status', 'cloudlets/status'],
    verbs: ['patch'],
    why: 'reports',
  },
];
