/** Names that more than one part relies on: annotations, labels, finalizers, namespaces, managers. */
import { apiGroup } from './schema.ts';

export const annotations = {
  /** The uid that an object had first; drivers, ledger and agents key by it. */
  instanceId: `${apiGroup}/instance-id`,
  /** Lets go of a site that is gone for good; honoured from writers with the verb `abandon`. */
  abandon: `${apiGroup}/abandon`,
  /** Name of a stack that runs at the site already, to be taken over without a restart. */
  adoptStack: `${apiGroup}/adopt-stack`,
  /** Change it to have an object reconciled now. */
  reconcileAt: `${apiGroup}/reconcile-at`,
} as const;

export const labels = {
  cloudlet: `${apiGroup}/cloudlet`,
  app: `${apiGroup}/app`,
  instanceId: `${apiGroup}/instance-id`,
  /** On a namespace: a tenant, whose Secrets the operator may read. */
  organization: `${apiGroup}/organization`,
  managedBy: 'app.kubernetes.io/managed-by',
} as const;

export const finalizers = {
  appinst: `${apiGroup}/appinst`,
  cloudlet: `${apiGroup}/cloudlet`,
  cluster: `${apiGroup}/cluster`,
  app: `${apiGroup}/app`,
  zone: `${apiGroup}/zone`,
  flavor: `${apiGroup}/flavor`,
} as const;

export const namespaces = {
  system: 'cloudlet-system',
  /** The region's CA and hash key; only the operator reads it. */
  authority: 'cloudlet-authority',
  /** Service-account names of sites; holds no object. */
  sites: 'cloudlet-sites',
  /** Copies of tenants' secrets for placed instances. */
  secrets: 'cloudlet-secrets',
} as const;

/** The two field managers of every status. */
export const fieldManagers = { operator: 'cloudlet-operator', agent: 'cloudlet-agent' } as const;

/** Signer of agents' certificates. */
export const agentSigner = `${apiGroup}/agent`;

export const accessGroup = 'access.edge.cloudlet.dev';

/** The name that the API server sees for a site. */
export const siteUser = (cloudlet: string): string =>
  `system:serviceaccount:${namespaces.sites}:${cloudlet}`;
export const siteGroup = `system:serviceaccounts:${namespaces.sites}`;
