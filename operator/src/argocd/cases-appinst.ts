/** States of an AppInst, from apply to Ready, what may go wrong on the way, and away again. */
import type { AppInst, Cloudlet, Condition } from '@cloudlet/crds';
import * as builders from '../builders.ts';
import { type Result, statusOf } from '../controllers/appinst/conditions.ts';
import { type Rollout, rolloutVerdict } from '../controllers/appinst/rollout.ts';
import { notSeen, unseen } from './cases-shared.ts';
import type { HealthCase } from './cases.ts';

const { aCloudlet, aCondition, anAppSpec, anEntry, someTime } = builders;
const start = Date.parse(someTime);

const anAppInst = (parts: Parameters<typeof builders.anAppInst>[0] = {}): AppInst =>
  builders.anAppInst({ ...parts, spec: { zoneRef: { name: 'north' }, ...parts.spec } });

const rollout: Rollout = { revision: 'web-1', sequence: 5, generation: 1, startedAt: someTime };
const well: Rollout = { ...rollout, lastHealthy: 'web-1' };
const spec = anAppSpec();

const deployed = aCondition('Deployed', 'True', 'Deployed', 'It runs.');
const healthy = aCondition('Healthy', 'True', 'Healthy', '1 of 1 replicas is healthy.');
const sick = aCondition('Healthy', 'False', 'Unhealthy', '0 of 1 replicas is healthy.');
const off = aCondition('Healthy', 'False', 'PoweredOff', 'It is off.');
const missing = aCondition('Deployed', 'False', 'ImageNotFound', 'image shop:9: there is none.');

interface State {
  /** What the site says; nothing when it has not answered yet. */
  readonly said?: readonly Condition[];
  /** What was rolled out when it said so. */
  readonly before?: Rollout;
  readonly rollout?: Rollout;
  readonly spec?: Partial<AppInst['spec']>;
  readonly metadata?: Partial<AppInst['metadata']>;
  readonly site?: Cloudlet;
  readonly refusal?: Result['refusal'];
  readonly removal?: Result['removal'];
  /** Since when it is refused: 0 when that is new. */
  readonly seconds?: number;
}

const site = (status: Condition['status'], reason: string): Cloudlet =>
  aCloudlet({ status: { conditions: [aCondition('Connected', status, reason)] } });

/** The whole object: the operator's part of the status, and the site's. */
function appInst(state: State): AppInst {
  const { said, seconds = 0, refusal, removal, before = state.rollout ?? rollout } = state;
  const now = start + seconds * 1000;
  const report = said && {
    site: { uid: 'uid-web', boot: 'boot-1', sequence: 3, placement: before.sequence },
    instances: [{ name: 'web.1', state: 'running' }],
  };
  const refused = refusal ? [aCondition('Accepted', 'False', refusal.reason)] : [];
  const object = anAppInst({
    spec: state.spec ?? {},
    metadata: state.metadata ?? {},
    status: { ...report, rollout: before, conditions: [...refused, ...(said ?? [])] },
  });
  const placed = {
    name: 'edge1',
    cloudlet: state.site ?? site('True', 'Connected'),
    entry: anEntry({ sequence: 5 }),
    spec,
  };
  const status = statusOf({
    ...{ appInst: object, id: 'id-web', now, refusal, removal },
    ...(refusal ? {} : { placed, rollout: state.rollout ?? rollout }),
    verdict: rolloutVerdict({ appInst: object, spec, connectedSince: start, now }),
  });
  const conditions = [...(status.conditions ?? []), ...(said ?? [])];
  return { ...object, status: { ...report, ...status, conditions } };
}

const next: Rollout = { ...well, revision: 'web-2', sequence: 6 };
const rolledBack: Rollout = { ...well, failed: 'web-2', failedMessage: 'ImageNotFound: no image' };
const noApp = {
  reason: 'AppNotFound',
  message: "spec.appRef: there is no App 'web' in this namespace.",
};
const full = { reason: 'NoSiteFits', message: '2 sites: 2 have too little memory.' };
const leaving = { deletionTimestamp: someTime };
const removing = { reason: 'Removing', message: 'The site is removing it.' };

const onItsWay: readonly Omit<HealthCase, 'kind'>[] = [
  {
    name: 'new',
    object: { ...anAppInst(), status: unseen },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    name: 'changed',
    object: {
      ...appInst({ said: [deployed, healthy], rollout: well }),
      metadata: { ...anAppInst().metadata, generation: 2 },
    },
    health: 'Progressing',
    message: notSeen,
    kstatus: 'InProgress',
  },
  {
    name: 'app-on-its-way',
    object: appInst({ refusal: noApp }),
    health: 'Progressing',
    message: `AppNotFound: ${noApp.message}`,
    kstatus: 'InProgress',
  },
  {
    name: 'room-on-its-way',
    object: appInst({ refusal: full, seconds: 299 }),
    health: 'Progressing',
    message: `NoSiteFits: ${full.message}`,
    kstatus: 'InProgress',
  },
  {
    name: 'site-never-joined',
    object: appInst({ site: site('False', 'NeverConnected') }),
    health: 'Progressing',
    message: 'WaitingForSite: The site has not connected yet.',
    kstatus: 'InProgress',
  },
  {
    name: 'waiting-for-site',
    object: appInst({}),
    health: 'Progressing',
    message: 'WaitingForSite: The site has not answered yet.',
    kstatus: 'InProgress',
  },
  {
    name: 'pulling',
    object: appInst({ said: [aCondition('Deployed', 'False', 'Progressing', 'pulling (1 of 4)')] }),
    health: 'Progressing',
    message: 'Progressing: pulling (1 of 4)',
    kstatus: 'InProgress',
  },
  {
    name: 'starting',
    object: appInst({
      said: [deployed, aCondition('Healthy', 'False', 'Starting', '0 of 1 replicas is healthy.')],
    }),
    health: 'Progressing',
    message: 'Starting: 0 of 1 replicas is healthy.',
    kstatus: 'InProgress',
  },
  {
    name: 'healthy',
    object: appInst({ said: [deployed, healthy], rollout: well }),
    health: 'Healthy',
    message: '1 of 1 replicas is healthy.',
    kstatus: 'Current',
  },
  {
    name: 'updating',
    object: appInst({ said: [deployed, healthy], before: well, rollout: next }),
    health: 'Progressing',
    message: 'Progressing: What ran before an update serves on.',
    kstatus: 'InProgress',
  },
  {
    name: 'update-waits',
    object: appInst({
      said: [deployed, healthy],
      rollout: { ...well, available: 'web-2' },
      spec: { rollout: 'Manual' },
    }),
    health: 'Healthy',
    message: 'Revision web-2 waits: set spec.rolloutRevision to it to roll it out.',
    kstatus: 'Current',
  },
];

const inTrouble: readonly Omit<HealthCase, 'kind'>[] = [
  {
    name: 'image-not-found',
    object: appInst({ said: [missing] }),
    health: 'Degraded',
    message: 'ImageNotFound: image shop:9: there is none.',
    kstatus: 'Failed',
  },
  {
    name: 'never-healthy',
    object: appInst({ said: [deployed, sick], seconds: 301 }),
    health: 'Degraded',
    message: 'RolloutFailed: Not healthy within 300 s (Unhealthy: 0 of 1 replicas is healthy.).',
    kstatus: 'Failed',
  },
  {
    name: 'rolled-back',
    object: appInst({ said: [deployed, healthy], rollout: rolledBack }),
    health: 'Degraded',
    message: 'RolledBack: Revision web-2 failed (ImageNotFound: no image); web-1 runs.',
    kstatus: 'Failed',
  },
  {
    name: 'app-missing',
    object: appInst({ refusal: noApp, seconds: 60 }),
    health: 'Degraded',
    message: `AppNotFound: ${noApp.message}`,
    kstatus: 'Failed',
  },
  {
    name: 'no-room',
    object: appInst({ refusal: full, seconds: 300 }),
    health: 'Degraded',
    message: `NoSiteFits: ${full.message}`,
    kstatus: 'Failed',
  },
  {
    name: 'unhealthy-for-a-moment',
    object: appInst({ said: [deployed, sick], rollout: well, seconds: 9999 }),
    health: 'Progressing',
    message: 'Unhealthy: 0 of 1 replicas is healthy.',
    kstatus: 'InProgress',
  },
  {
    name: 'cut-off',
    object: appInst({
      said: [deployed, healthy],
      rollout: well,
      site: site('False', 'SiteUnreachable'),
    }),
    health: 'Progressing',
    message: `SiteUnreachable: The site is unreachable since ${someTime}.`,
    kstatus: 'InProgress',
  },
];

const atRest: readonly Omit<HealthCase, 'kind'>[] = [
  {
    name: 'suspended',
    object: appInst({ said: [deployed, healthy], rollout: well, spec: { suspend: true } }),
    health: 'Suspended',
    message: 'Suspended: It runs, and is left as it is.',
    kstatus: 'Current',
  },
  {
    name: 'powered-off',
    object: appInst({ said: [deployed, off], rollout: well, spec: { powerState: 'Off' } }),
    health: 'Suspended',
    message: 'PoweredOff: It is switched off: spec.powerState is Off.',
    kstatus: 'InProgress',
  },
  {
    name: 'removing',
    object: appInst({
      said: [deployed, healthy],
      rollout: well,
      removal: removing,
      metadata: leaving,
    }),
    health: 'Progressing',
    message: 'Removing: The site is removing it.',
    kstatus: 'Terminating',
  },
];

export const appInstCases: readonly HealthCase[] = [...onItsWay, ...inTrouble, ...atRest].map(
  (each) => ({ kind: 'AppInst' as const, ...each }),
);
