/** States of the kinds that name no machine of their own: Zone, Flavor, CloudletLedger, App. */
import {
  type App,
  type CloudletLedger,
  type Flavor,
  groupVersion,
  type Zone,
} from '@cloudlet/crds';
import { aCloudlet, aCondition, anApp, anEntry, metadata, someTime } from '../builders.ts';
import { type Result as AppResult, statusOf as appStatus } from '../controllers/app/conditions.ts';
import { statusOf as zoneStatus } from '../controllers/zone/conditions.ts';
import type { HealthCase } from './cases.ts';

const start = Date.parse(someTime);
export const notSeen = 'The operator has not looked at it yet.';
/** What the API server sets. */
export const unseen = { observedGeneration: -1 };

const zone: Zone = {
  apiVersion: groupVersion,
  kind: 'Zone',
  metadata: metadata('north'),
  spec: { operator: 'campus' },
};
const readySite = aCloudlet({ status: { conditions: [aCondition('Ready', 'True', 'Ready')] } });

const zoneCases: readonly HealthCase[] = [
  {
    kind: 'Zone',
    name: 'new',
    object: { ...zone, status: unseen },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    kind: 'Zone',
    name: 'ready',
    object: { ...zone, status: zoneStatus({ zone, now: start, cloudlets: [readySite] }) },
    health: 'Healthy',
    message: 'Instances can be placed.',
    kstatus: 'Current',
  },
  {
    kind: 'Zone',
    name: 'no-site-ready',
    object: { ...zone, status: zoneStatus({ zone, now: start, cloudlets: [] }) },
    health: 'Healthy',
    message: 'None of its sites is Ready.',
    kstatus: 'InProgress',
  },
  {
    kind: 'Zone',
    name: 'in-use',
    object: {
      ...zone,
      metadata: { ...zone.metadata, deletionTimestamp: someTime },
      status: zoneStatus({ zone, now: start, cloudlets: [], users: "Cloudlet 'edge1'" }),
    },
    health: 'Progressing',
    message: "InUse: It is used by Cloudlet 'edge1'.",
    kstatus: 'Terminating',
  },
];

const flavor: Flavor = {
  apiVersion: groupVersion,
  kind: 'Flavor',
  metadata: metadata('small'),
  spec: { vcpus: '500m', memory: '64Mi' },
};
const ledger: CloudletLedger = {
  apiVersion: groupVersion,
  kind: 'CloudletLedger',
  metadata: metadata('edge1'),
  spec: { cloudletId: 'id-edge1', sequence: 1, entries: [anEntry()] },
};

const app = (
  problem: AppResult['problem'],
  { seconds = 0, written = false }: { seconds?: number; written?: boolean } = {},
): App => {
  const before = written ? { conditions: [aCondition('Ready', 'False', 'X')] } : undefined;
  const object = anApp(before ? { status: before } : {});
  const now = start + seconds * 1000;
  return { ...object, status: appStatus({ app: object, now, instances: 0, problem }) };
};
const noFlavor = { reason: 'FlavorNotFound', message: "There is no Flavor 'huge'." };
const noYaml = { reason: 'InvalidCompose', message: 'spec.compose: it has no services.' };

const appCases: readonly HealthCase[] = [
  {
    kind: 'App',
    name: 'new',
    object: { ...anApp(), status: unseen },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    kind: 'App',
    name: 'ready',
    object: app(undefined),
    health: 'Healthy',
    message: 'It can be placed.',
    kstatus: 'Current',
  },
  {
    kind: 'App',
    name: 'changed',
    object: { ...app(undefined), metadata: { ...anApp().metadata, generation: 2 } },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    kind: 'App',
    name: 'flavor-on-its-way',
    object: app(noFlavor),
    health: 'Progressing',
    message: "FlavorNotFound: There is no Flavor 'huge'.",
    kstatus: 'InProgress',
  },
  {
    kind: 'App',
    name: 'flavor-missing',
    object: app(noFlavor, { written: true, seconds: 60 }),
    health: 'Degraded',
    message: "FlavorNotFound: There is no Flavor 'huge'.",
    kstatus: 'Failed',
  },
  {
    kind: 'App',
    name: 'invalid-compose',
    object: app(noYaml, { written: true, seconds: 10 }),
    health: 'Degraded',
    message: 'InvalidCompose: spec.compose: it has no services.',
    kstatus: 'Failed',
  },
];

export const sharedCases: readonly HealthCase[] = [
  ...zoneCases,
  {
    kind: 'Flavor',
    name: 'there',
    object: flavor,
    health: 'Healthy',
    message: 'It can be asked for.',
    kstatus: 'Current',
  },
  {
    kind: 'CloudletLedger',
    name: 'there',
    object: ledger,
    health: 'Healthy',
    message: 'The operator keeps it.',
    kstatus: 'Current',
  },
  ...appCases,
];
