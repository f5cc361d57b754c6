/**
 * What the API server writes down of ours: who changed what, who read a Secret of the region, who opened what
 * at a site. A file for `--audit-policy-file`; a cluster that has one puts these rules in front of its own.
 *
 * Guarantees: the body of no Secret is written; bodies of our kinds are, for everybody but the region's own
 * processes, since the API has a place for secrets that is not there; a session is written when it is asked
 * for, when it opens and when it ends. Reports of sites, Leases and the processes' own reading are left out:
 * they are most of the calls, and the wall has judged them.
 */
import { accessGroup, apiGroup, kinds, namespaces } from '@cloudlet/crds';
import { processes, userOf } from './accesses.ts';
import type { Manifest } from './manifest.ts';

type Stage = 'RequestReceived' | 'ResponseStarted' | 'ResponseComplete';

interface AuditRule {
  readonly level: 'None' | 'Metadata' | 'Request' | 'RequestResponse';
  readonly users?: readonly string[];
  readonly verbs?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly resources?: readonly {
    readonly group: string;
    readonly resources?: readonly string[];
    readonly resourceNames?: readonly string[];
  }[];
  readonly omitStages?: readonly Stage[];
}

const reading = ['get', 'list', 'watch'];
const changing = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const region = processes.map(userOf);
/** One line a call, when it is done. */
const once: Pick<AuditRule, 'omitStages'> = { omitStages: ['RequestReceived', 'ResponseStarted'] };
const plurals = kinds.map(({ plural }) => plural);
const withParts = [...plurals, ...plurals.map((plural) => `${plural}/*`)];

export const auditRules: readonly AuditRule[] = [
  // Sessions: the query of the request names the program, and its arguments.
  { level: 'Metadata', resources: [{ group: accessGroup }] },
  {
    level: 'Metadata',
    namespaces: [namespaces.authority],
    resources: [{ group: '', resources: ['secrets'] }],
    ...once,
  },
  { level: 'None', users: region, verbs: reading },
  {
    level: 'Metadata',
    namespaces: [namespaces.system, namespaces.secrets],
    resources: [{ group: '', resources: ['secrets'] }],
    ...once,
  },
  // The hub's account too: rules see who calls, not the site that the hub calls as.
  {
    level: 'None',
    users: region,
    resources: [{ group: apiGroup, resources: plurals.map((plural) => `${plural}/status`) }],
  },
  {
    level: 'Metadata',
    users: region,
    verbs: changing,
    resources: [{ group: apiGroup, resources: withParts }],
    ...once,
  },
  {
    level: 'RequestResponse',
    verbs: changing,
    resources: [{ group: apiGroup, resources: withParts }],
    ...once,
  },
  {
    level: 'Metadata',
    verbs: changing,
    resources: [
      {
        group: 'certificates.k8s.io',
        resources: ['certificatesigningrequests', 'certificatesigningrequests/approval'],
      },
    ],
    ...once,
  },
  { level: 'None' },
];

export const auditPolicy = (): Manifest => ({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  metadata: { name: 'cloudlet' },
  omitManagedFields: true,
  rules: auditRules,
});
