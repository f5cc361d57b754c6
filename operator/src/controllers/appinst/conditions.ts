/**
 * The operator's part of an AppInst's status: one pure function gives all of it.
 *
 * Guarantees: `Ready` is True only while the site says that what runs is healthy, and stays so during an
 * update that keeps it running; what is under way shows as `Reconciling`, and what needs a person as
 * `Stalled`, as kstatus expects; when nobody can see the site `Ready` is Unknown, but not when it is the
 * region's own hubs that are gone. No message names the site.
 */
import {
  type AppInst,
  appInstConditions,
  appInstReasons,
  type AppInstStatus,
  type AppSpec,
  type Cloudlet,
  cloudletConditions,
  cloudletReasons,
  labels,
  type LedgerEntry,
} from '@cloudlet/crds';
import { transportOf } from '../../ledger/ports.ts';
import { uriOf } from '../../plan/render.ts';
import { stalledVerdicts } from '../../stalled.ts';
import { conditionOf, conditionsFrom, type Verdict } from '../../status.ts';
import { isRolledBackAtSite, reportState, type Rollout, type RolloutVerdict } from './rollout.ts';
import { obstacleOf, rolledBackMessage } from './stalled.ts';

/** How far the region can see the site. */
export type SiteSight = 'Connected' | 'NeverConnected' | 'Unreachable' | 'HubUnavailable';

export function sightOf(cloudlet: Cloudlet | undefined): SiteSight {
  const connected = conditionOf(cloudlet, cloudletConditions.Connected);
  if (!connected || connected.reason === cloudletReasons.NeverConnected) return 'NeverConnected';
  if (connected.status === 'True') return 'Connected';
  return connected.reason === cloudletReasons.HubUnavailable ? 'HubUnavailable' : 'Unreachable';
}

/** What the reconcile came to; `undefined` members keep nothing. */
export interface Result {
  readonly appInst: AppInst;
  readonly id: string | undefined;
  readonly now: number;
  /** Why the spec cannot be carried out; what runs is left as it is. */
  readonly refusal?: { readonly reason: string; readonly message: string } | undefined;
  /** Where it is, from the ledger. */
  readonly placed?:
    | {
        readonly cloudlet: Cloudlet | undefined;
        readonly name: string;
        readonly entry: LedgerEntry;
        /** Of the revision that is rolled out. */
        readonly spec: AppSpec | undefined;
      }
    | undefined;
  readonly rollout?: Rollout | undefined;
  /** What the site's report says of the roll-out that it is about. */
  readonly verdict?: RolloutVerdict | undefined;
  /** It is being deleted: what it had stays on record, and this says what is waited for. */
  readonly removal?: { readonly reason: string; readonly message: string } | undefined;
}

export const operatorFields = [
  'observedGeneration',
  'placement',
  'ports',
  'endpoints',
  'uri',
  'replicas',
  'selector',
  'rollout',
] as const;

export const operatorConditions = [
  appInstConditions.Ready,
  appInstConditions.Accepted,
  appInstConditions.Placed,
  appInstConditions.UpdateAvailable,
  appInstConditions.Reconciling,
  appInstConditions.Stalled,
] as const;

/** The whole of the operator's part. */
export function statusOf(result: Result): AppInstStatus {
  if (result.removal) return removalStatus(result, result.removal);
  const { appInst, id, placed, rollout, now } = result;
  const verdicts = verdictsOf(result);
  const isReady = verdicts.some(({ type, status }) => type === 'Ready' && status === 'True');
  const ports = portsOf(placed?.spec, placed?.entry);
  const endpoints = endpointsOf(appInst, placed, isReady);
  const first = endpoints.find(({ ready }) => ready);
  const protocol = ports.find(({ name }) => name === first?.port)?.protocol;
  return {
    observedGeneration: appInst.metadata.generation,
    ...(placed
      ? {
          placement: {
            cloudlet: placed.name,
            ...(placed.entry.cluster === undefined ? {} : { cluster: placed.entry.cluster }),
            sequence: placed.entry.sequence,
          },
        }
      : {}),
    ...(ports.length > 0 ? { ports } : {}),
    ...(endpoints.length > 0 ? { endpoints } : {}),
    ...(first && protocol ? { uri: uriOf(protocol, first.host, first.publicPort) } : {}),
    ...(reportState(appInst, rollout) === 'none' ? {} : { replicas: runningTasks(appInst) }),
    ...(id === undefined ? {} : { selector: `${labels.instanceId}=${id}` }),
    ...(rollout ? { rollout } : {}),
    conditions: conditionsFrom(
      verdicts,
      appInst.status?.conditions,
      appInst.metadata.generation,
      now,
    ),
  };
}

/** While it goes: the copies of ledger and roll-out stay, since the site's last report is judged by them. */
function removalStatus(
  { appInst, now }: Result,
  { reason, message }: { readonly reason: string; readonly message: string },
): AppInstStatus {
  const { placement, ports, rollout, selector } = appInst.status ?? {};
  return {
    observedGeneration: appInst.metadata.generation,
    ...(placement ? { placement } : {}),
    ...(ports ? { ports } : {}),
    ...(selector === undefined ? {} : { selector }),
    ...(rollout ? { rollout } : {}),
    conditions: conditionsFrom(
      [ready('False', reason, message)],
      appInst.status?.conditions,
      appInst.metadata.generation,
      now,
    ),
  };
}

function verdictsOf(result: Result): readonly Verdict[] {
  const { refusal, placed, rollout, now } = result;
  const isPlacementRefusal = refusal !== undefined && !placed;
  const stalled = stalledVerdicts(obstacleOf(result), now);
  return [
    readyVerdict(result),
    refusal
      ? verdict('Accepted', 'False', refusal.reason, refusal.message)
      : verdict('Accepted', 'True', appInstReasons.Accepted, 'The spec can be carried out.'),
    placed
      ? verdict('Placed', 'True', appInstReasons.Placed, 'A site was chosen.')
      : verdict(
          'Placed',
          'False',
          isPlacementRefusal ? refusal.reason : appInstReasons.Suspended,
          isPlacementRefusal ? refusal.message : 'It is suspended before it was placed.',
        ),
    ...(rollout ? [updateVerdict(rollout)] : []),
    ...stalled,
    // kstatus takes the first of the two that it finds, so there is one at most.
    ...(stalled.length === 0 && isReconciling(result)
      ? [
          verdict(
            'Reconciling',
            'True',
            appInstReasons.Progressing,
            'The site does not run yet what was asked for.',
          ),
        ]
      : []),
  ];
}

function updateVerdict(rollout: Rollout): Verdict {
  return rollout.available === undefined
    ? verdict('UpdateAvailable', 'False', appInstReasons.UpToDate, 'No newer revision waits.')
    : verdict(
        'UpdateAvailable',
        'True',
        appInstReasons.UpdateAvailable,
        `Revision ${rollout.available} waits: set spec.rolloutRevision to it to roll it out.`,
      );
}

/** The summary that everybody reads. */
export function readyVerdict(result: Result): Verdict {
  const { appInst, placed, refusal, rollout } = result;
  if (!placed) {
    return refusal
      ? ready('False', refusal.reason, refusal.message)
      : ready('False', appInstReasons.Suspended, 'It is suspended before it was placed.');
  }
  const sight = sightOf(placed.cloudlet);
  if (sight === 'Unreachable')
    return ready(
      'Unknown',
      appInstReasons.SiteUnreachable,
      `The site is unreachable${since(placed.cloudlet)}.`,
    );
  const state = reportState(appInst, rollout);
  if (state === 'none')
    return ready(
      'False',
      appInstReasons.WaitingForSite,
      sight === 'NeverConnected'
        ? 'The site has not connected yet.'
        : 'The site has not answered yet.',
    );
  if (appInst.spec.powerState === 'Off')
    return ready('False', appInstReasons.PoweredOff, 'It is switched off: spec.powerState is Off.');
  return runningVerdict(appInst, state, rollout);
}

function runningVerdict(
  appInst: AppInst,
  state: 'older' | 'current',
  rollout: Rollout | undefined,
): Verdict {
  const deployed = conditionOf(appInst, 'Deployed');
  const healthy = conditionOf(appInst, 'Healthy');
  const hasServed = rollout?.lastHealthy !== undefined;
  if (deployed?.status !== 'True' && !hasServed)
    return ready(
      deployed?.status ?? 'False',
      deployed?.reason ?? appInstReasons.Progressing,
      deployed?.message ?? 'The site is deploying it.',
    );
  if (healthy?.status !== 'True')
    return ready(
      healthy?.status ?? 'False',
      healthy?.reason ?? appInstReasons.Starting,
      healthy?.message ?? 'The site has not said that it is healthy.',
    );
  if (rollout?.failed !== undefined)
    return ready('True', appInstReasons.RolledBack, rolledBackMessage(rollout));
  if (appInst.spec.suspend)
    return ready('True', appInstReasons.Suspended, 'It runs, and is left as it is.');
  if (isRolledBackAtSite(appInst, rollout))
    return ready(
      'True',
      appInstReasons.RolledBack,
      `What ran before an update serves on. ${deployed?.message ?? ''}`,
    );
  if (state === 'older' || deployed?.status !== 'True')
    return ready('True', appInstReasons.Progressing, 'What ran before an update serves on.');
  return ready('True', appInstReasons.Ready, healthy.message);
}

function isReconciling(result: Result): boolean {
  const { appInst, placed, refusal, rollout } = result;
  if (!placed || refusal || appInst.spec.suspend) return false;
  if (reportState(appInst, rollout) !== 'current') return true;
  return conditionOf(appInst, 'Deployed')?.status !== 'True' && appInst.spec.powerState !== 'Off';
}

const ready = (status: Verdict['status'], reason: string, message: string): Verdict =>
  verdict('Ready', status, reason, message);

const verdict = (
  type: Verdict['type'],
  status: Verdict['status'],
  reason: string,
  message: string,
): Verdict => ({ type, status, reason, message });

function since(cloudlet: Cloudlet | undefined): string {
  const at = conditionOf(cloudlet, cloudletConditions.Connected)?.lastTransitionTime;
  return at === undefined ? '' : ` since ${at}`;
}

/** Public ports, in the App's order; a copy of the ledger. */
export function portsOf(
  spec: AppSpec | undefined,
  entry: LedgerEntry | undefined,
): NonNullable<AppInstStatus['ports']> {
  return (spec?.ports ?? []).map((port) => {
    const granted = entry?.ports?.find(
      ({ name, protocol }) => name === port.name && protocol === transportOf(port.protocol),
    );
    return {
      name: port.name,
      protocol: port.protocol,
      port: port.port,
      ...(port.endPort === undefined ? {} : { endPort: port.endPort }),
      ...(granted ? { publicPort: granted.publicPort } : {}),
    };
  });
}

/** Addresses that devices reach a site by. */
export const addressesOf = (cloudlet: Cloudlet | undefined): readonly string[] =>
  cloudlet?.spec.loadBalancer?.addresses ?? cloudlet?.status?.site?.addresses ?? [];

const mostEndpoints = 256;

function endpointsOf(
  appInst: AppInst,
  placed: Result['placed'],
  isReady: boolean,
): NonNullable<AppInstStatus['endpoints']> {
  const ports = portsOf(placed?.spec, placed?.entry);
  return ports
    .flatMap((port) =>
      addressesOf(placed?.cloudlet).flatMap((host) =>
        port.publicPort === undefined
          ? []
          : {
              port: port.name,
              host,
              publicPort: port.publicPort,
              ready: isReady && hasBackend(appInst, port.name),
            },
      ),
    )
    .slice(0, mostEndpoints);
}

/** Whether the site's load balancer has something to send to; one that says nothing of the port counts. */
function hasBackend(appInst: AppInst, port: string): boolean {
  const backend = appInst.status?.backends?.find((candidate) => candidate.port === port);
  return backend === undefined || backend.up > 0;
}

const runningTasks = (appInst: AppInst): number =>
  (appInst.status?.instances ?? []).filter(({ state }) => state === 'running').length;
