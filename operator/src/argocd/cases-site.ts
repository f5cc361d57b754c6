/** States of what stands for a site or a part of it: Cloudlet and Cluster. */
import type { Cloudlet, Cluster, Condition } from '@cloudlet/crds';
import { aCloudlet, aCluster, aCondition, someTime } from '../builders.ts';
import {
  type Result as CloudletResult,
  statusOf as cloudletStatus,
} from '../controllers/cloudlet/conditions.ts';
import { statusOf as clusterStatus } from '../controllers/cluster/conditions.ts';
import { notSeen, unseen } from './cases-shared.ts';
import type { HealthCase } from './cases.ts';

const start = Date.parse(someTime);
type Connection = CloudletResult['connection'];
const connected: Connection = {
  status: 'True',
  reason: 'Connected',
  message: 'An agent of the site is connected.',
};
const key = { fingerprint: `SHA256:${'A'.repeat(43)}`, acceptedAt: someTime };

interface Site {
  readonly connection?: Connection;
  readonly spec?: Partial<Cloudlet['spec']>;
  /** What is written already. */
  readonly conditions?: readonly Condition[];
  readonly seconds?: number;
  readonly more?: Partial<CloudletResult>;
}

const serving = aCondition('PlatformReady', 'True', 'Serving', 'It serves.');
const broken = aCondition('PlatformReady', 'False', 'EngineUnreachable', 'The engine is silent.');
const linked = aCondition('Connected', 'True', 'Connected');

function cloudlet(site: Site): Cloudlet {
  const { connection = connected, conditions = [serving], seconds = 0, spec = {}, more } = site;
  const object = aCloudlet({ spec, status: { conditions: [...conditions] } });
  const status = cloudletStatus({
    cloudlet: object,
    now: start + seconds * 1000,
    connection,
    keys: [key],
    waiting: [],
    ledger: undefined,
    isZoneMissing: false,
    ...more,
  });
  const agents = conditions.filter(({ type }) => type === 'PlatformReady');
  return {
    ...object,
    status: { ...status, conditions: [...(status.conditions ?? []), ...agents] },
  };
}

const never: Connection = {
  status: 'False',
  reason: 'NeverConnected',
  message: 'No agent of the site has connected yet.',
};
const lost: Connection = {
  status: 'False',
  reason: 'SiteUnreachable',
  message: 'No agent of the site is connected.',
};
const blind: Connection = {
  status: 'Unknown',
  reason: 'HubUnavailable',
  message: 'No hub is running.',
};
const duplicate: Connection = {
  status: 'False',
  reason: 'DuplicateAgent',
  message: 'Two agents take it from each other.',
};
const mismatch: Connection = {
  status: 'False',
  reason: 'VersionMismatch',
  message: 'The agent is turned away.',
};
const noZone = { isZoneMissing: true };
const inZone = { zoneRef: { name: 'north' } };
const zoneMessage = "ZoneNotFound: spec.zoneRef: there is no Zone 'north'.";

const cloudletCases: readonly Omit<HealthCase, 'kind'>[] = [
  {
    name: 'new',
    object: { ...aCloudlet(), status: unseen },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    name: 'never-joined',
    object: cloudlet({ connection: never, conditions: [], more: { keys: [] } }),
    health: 'Progressing',
    message: 'NeverConnected: No agent of the site has connected yet.',
    kstatus: 'InProgress',
  },
  {
    name: 'joining',
    object: cloudlet({ conditions: [] }),
    health: 'Progressing',
    message: 'PlatformNotReady: The agent has not reported on its platform yet.',
    kstatus: 'InProgress',
  },
  {
    name: 'ready',
    object: cloudlet({}),
    health: 'Healthy',
    message: 'Instances can be placed and are served.',
    kstatus: 'Current',
  },
  {
    name: 'cut-off',
    object: cloudlet({ connection: lost }),
    health: 'Degraded',
    message: 'SiteUnreachable: No agent of the site is connected.',
    kstatus: 'InProgress',
  },
  {
    name: 'hub-gone',
    object: cloudlet({ connection: blind }),
    health: 'Progressing',
    message: 'HubUnavailable: No hub is running.',
    kstatus: 'InProgress',
  },
  {
    name: 'engine-starts',
    object: cloudlet({ conditions: [linked, broken], seconds: 10 }),
    health: 'Progressing',
    message: 'EngineUnreachable: The engine is silent.',
    kstatus: 'InProgress',
  },
  {
    name: 'engine-silent',
    object: cloudlet({ conditions: [linked, broken], seconds: 300 }),
    health: 'Degraded',
    message: 'EngineUnreachable: The engine is silent.',
    kstatus: 'Failed',
  },
  {
    name: 'duplicate-agent',
    object: cloudlet({ connection: duplicate }),
    health: 'Degraded',
    message: 'DuplicateAgent: Two agents take it from each other.',
    kstatus: 'Failed',
  },
  {
    name: 'version-mismatch',
    object: cloudlet({ connection: mismatch }),
    health: 'Degraded',
    message: 'VersionMismatch: The agent is turned away.',
    kstatus: 'Failed',
  },
  {
    name: 'zone-on-its-way',
    object: cloudlet({ more: noZone, spec: inZone }),
    health: 'Progressing',
    message: zoneMessage,
    kstatus: 'InProgress',
  },
  {
    name: 'zone-missing',
    object: cloudlet({
      more: noZone,
      spec: inZone,
      conditions: [aCondition('Ready', 'False', 'ZoneNotFound')],
      seconds: 60,
    }),
    health: 'Degraded',
    message: zoneMessage,
    kstatus: 'Failed',
  },
  {
    name: 'revoked',
    object: cloudlet({ connection: lost, spec: { revoked: true } }),
    health: 'Suspended',
    message: 'Revoked: It is revoked.',
    kstatus: 'InProgress',
  },
  {
    name: 'draining',
    object: cloudlet({ spec: { maintenance: 'Drain' } }),
    health: 'Suspended',
    message: 'Draining: spec.maintenance is Drain: no new instance is placed here.',
    kstatus: 'InProgress',
  },
];

const readySite = aCloudlet({ status: { conditions: [aCondition('Ready', 'True', 'Ready')] } });
const lostReady = aCondition('Ready', 'Unknown', 'SiteUnreachable', 'No agent is connected.');
const lostSite = aCloudlet({ status: { conditions: [lostReady] } });

function cluster(site: Cloudlet | undefined, isLate = false): Cluster {
  const object: Cluster = {
    ...aCluster(),
    ...(isLate ? { status: { conditions: [aCondition('Ready', 'False', 'X')] } } : {}),
  };
  const now = start + 60_000;
  const status = clusterStatus({ cluster: object, now, cloudlet: site, instances: 0 });
  return { ...object, status };
}

const noCloudlet = "CloudletNotFound: spec.cloudletRef: there is no Cloudlet 'edge1'.";

const clusterCases: readonly Omit<HealthCase, 'kind'>[] = [
  {
    name: 'new',
    object: { ...aCluster(), status: unseen },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    name: 'ready',
    object: cluster(readySite),
    health: 'Healthy',
    message: 'It takes instances.',
    kstatus: 'Current',
  },
  {
    name: 'site-not-ready',
    object: cluster(lostSite),
    health: 'Healthy',
    message: 'The site is not Ready: No agent is connected.',
    kstatus: 'InProgress',
  },
  {
    name: 'site-on-its-way',
    object: cluster(undefined),
    health: 'Progressing',
    message: noCloudlet,
    kstatus: 'InProgress',
  },
  {
    name: 'site-missing',
    object: cluster(undefined, true),
    health: 'Degraded',
    message: noCloudlet,
    kstatus: 'Failed',
  },
];

export const siteCases: readonly HealthCase[] = [
  ...cloudletCases.map((each) => ({ kind: 'Cloudlet' as const, ...each })),
  ...clusterCases.map((each) => ({ kind: 'Cluster' as const, ...each })),
];
