/**
 * Shares of the API server: reports of thousands of sites must not hold up people or the operator, and a
 * flood of anything must not hold up Leases.
 */
import { namespaces, siteGroup } from '@cloudlet/crds';
import { accountOf, type ProcessName } from './accesses.ts';
import { type Manifest, manifest } from './manifest.ts';

const flowControl = 'flowcontrol.apiserver.k8s.io/v1';
const all = '*';

const accounts = (...names: readonly ProcessName[]): readonly object[] =>
  names.map((name) => ({
    kind: 'ServiceAccount',
    serviceAccount: { name: accountOf(name), namespace: namespaces.system },
  }));

const level = (name: string, shares: number): Manifest =>
  manifest(
    flowControl,
    'PriorityLevelConfiguration',
    { name },
    {
      spec: {
        type: 'Limited',
        limited: {
          nominalConcurrencyShares: shares,
          lendablePercent: 50,
          limitResponse: {
            type: 'Queue',
            queuing: { queues: 64, handSize: 6, queueLengthLimit: 50 },
          },
        },
      },
    },
  );

const everything = {
  resourceRules: [
    {
      apiGroups: [all],
      resources: [all],
      namespaces: [all],
      clusterScope: true,
      verbs: [all],
    },
  ],
  nonResourceRules: [{ nonResourceURLs: [all], verbs: [all] }],
};

interface Flow {
  readonly name: string;
  readonly level: string;
  /** Lower is asked first; Kubernetes' own for service accounts is 9000, for Leases 100 to 200. */
  readonly precedence: number;
  readonly subjects: readonly object[];
  readonly rules: object;
}

const flow = (given: Flow): Manifest =>
  manifest(
    flowControl,
    'FlowSchema',
    { name: given.name },
    {
      spec: {
        priorityLevelConfiguration: { name: given.level },
        matchingPrecedence: given.precedence,
        // Each site is a flow: a loud one waits behind itself.
        distinguisherMethod: { type: 'ByUser' },
        rules: [{ subjects: given.subjects, ...given.rules }],
      },
    },
  );

export function flowControlManifests(): readonly Manifest[] {
  return [
    level('cloudlet-sites', 20),
    level('cloudlet-region', 30),
    flow({
      name: 'cloudlet-leases',
      level: 'leader-election',
      precedence: 150,
      subjects: accounts('operator', 'hub', 'access'),
      rules: {
        resourceRules: [
          {
            apiGroups: ['coordination.k8s.io'],
            resources: ['leases'],
            namespaces: [namespaces.system],
            verbs: ['get', 'create', 'update', 'patch'],
          },
        ],
      },
    }),
    flow({
      name: 'cloudlet-sites',
      level: 'cloudlet-sites',
      precedence: 800,
      subjects: [{ kind: 'Group', group: { name: siteGroup } }],
      rules: everything,
    }),
    flow({
      name: 'cloudlet-region',
      level: 'cloudlet-region',
      precedence: 810,
      subjects: accounts('operator', 'hub', 'access'),
      rules: everything,
    }),
  ];
}
