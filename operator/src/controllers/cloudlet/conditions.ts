/**
 * The operator's part of a Cloudlet's status: one pure function gives all of it.
 *
 * Guarantees: `Ready` says whether instances can be placed and are served; the first reason that stands
 * against it, in the order in which a person would mend them, is the one that is told.
 */
import {
  type Cloudlet,
  cloudletConditions,
  cloudletReasons,
  type CloudletLedgerSpec,
  type CloudletStatus,
  type Condition,
} from '@cloudlet/crds';
import { type SiteKey, type Withdrawal, withdrawalOf } from '../../keys.ts';
import { usageOf } from '../../ledger/entries.ts';
import { notTrueSince, type Obstacle, patienceMs, stalledVerdicts } from '../../stalled.ts';
import { conditionOf, conditionsFrom, timestamp, type Verdict } from '../../status.ts';
import type { Connection } from './liveness.ts';

export type CloudletCondition = Condition['status'];
export type CloudletReason = (typeof cloudletReasons)[keyof typeof cloudletReasons];

export const operatorFields = [
  'observedGeneration',
  'keys',
  'waiting',
  'joinToken',
  'connection',
  'allocated',
] as const;
export const operatorConditions = [
  cloudletConditions.Ready,
  cloudletConditions.Accepted,
  cloudletConditions.Connected,
  cloudletConditions.Stalled,
] as const;

export interface Result {
  readonly cloudlet: Cloudlet;
  readonly now: number;
  readonly connection: Connection;
  readonly keys: readonly SiteKey[];
  readonly waiting: NonNullable<CloudletStatus['waiting']>;
  readonly joinToken?: CloudletStatus['joinToken'];
  readonly ledger: CloudletLedgerSpec | undefined;
  readonly isZoneMissing: boolean;
  /** Why it is not deleted yet. */
  readonly holdback?: string | undefined;
}

export function statusOf(result: Result): CloudletStatus {
  const { cloudlet, now, keys, waiting, joinToken } = result;
  const { generation } = cloudlet.metadata;
  return {
    observedGeneration: generation,
    ...(keys.length > 0 ? { keys: [...keys] } : {}),
    ...(waiting.length > 0 ? { waiting: [...waiting] } : {}),
    ...(joinToken ? { joinToken } : {}),
    connection: connectionOf(result),
    allocated: allocatedOf(result.ledger),
    conditions: conditionsFrom(
      [
        readyVerdict(result),
        acceptedVerdict(result),
        connectedVerdict(result),
        ...stalledVerdicts(obstacleOf(result), now),
      ],
      cloudlet.status?.conditions,
      generation,
      now,
    ),
  };
}

function connectionOf({ cloudlet, connection, now }: Result): CloudletStatus['connection'] {
  const before = cloudlet.status?.connection;
  const wasSame =
    conditionOf(cloudlet, 'Connected')?.status === connection.status &&
    before?.hub === connection.hub;
  return {
    ...(connection.hub === undefined ? {} : { hub: connection.hub }),
    since: (wasSame ? before?.since : undefined) ?? timestamp(now),
  };
}

function allocatedOf(ledger: CloudletLedgerSpec | undefined): CloudletStatus['allocated'] {
  const { instances, cpuMillis, memoryBytes } = usageOf(ledger);
  return { instances, cpuMillis, memoryBytes };
}

function connectedVerdict({ connection }: Result): Verdict {
  const { status, reason, message } = connection;
  return { type: cloudletConditions.Connected, status, reason, message };
}

function acceptedVerdict(result: Result): Verdict {
  const { cloudlet, keys } = result;
  const type = cloudletConditions.Accepted;
  if (cloudlet.spec.revoked)
    return {
      type,
      status: 'False',
      reason: cloudletReasons.Revoked,
      message: 'spec.revoked is true: every agent of the site is cut off.',
    };
  if (keys.length > 0)
    return {
      type,
      status: 'True',
      reason: cloudletReasons.Accepted,
      message: `${keys.length} ${keys.length === 1 ? 'key' : 'keys'} of agents.`,
    };
  return { type, status: 'False', reason: cloudletReasons.NoKey, message: noKeyMessage(result) };
}

const noKeyYet = 'No agent has enrolled yet: `kubectl cloudlet join` prints what it needs.';
const keysTaken =
  'Every key that the site had was taken away by spec.acceptedKeys or spec.revokedKeys: accept one, or `kubectl cloudlet join --renew` prints what a new agent needs.';

function noKeyMessage(result: Result): string {
  if (result.waiting.length > 0)
    return 'An agent asks to be let in: see status.waiting and spec.acceptedKeys.';
  const accepted = conditionOf(result.cloudlet, cloudletConditions.Accepted);
  const hadKeys = withdrawnKeys(result).length > 0 || accepted?.message === keysTaken;
  return hadKeys ? keysTaken : noKeyYet;
}

/** Keys on record that a person took away. */
export const withdrawnKeys = ({
  cloudlet,
  keys,
}: Pick<Result, 'cloudlet' | 'keys'>): readonly Withdrawal[] =>
  (cloudlet.status?.keys ?? []).flatMap(({ fingerprint, acceptedBy }) => {
    if (keys.some((key) => key.fingerprint === fingerprint)) return [];
    return withdrawalOf(cloudlet, fingerprint, acceptedBy) ?? [];
  });

function readyVerdict(result: Result): Verdict {
  const { cloudlet, connection, holdback, isZoneMissing } = result;
  const ready = (status: CloudletCondition, reason: string, message: string): Verdict => ({
    type: cloudletConditions.Ready,
    status,
    reason,
    message,
  });
  if (holdback !== undefined) return ready('False', cloudletReasons.InUse, holdback);
  if (cloudlet.spec.revoked) return ready('False', cloudletReasons.Revoked, 'It is revoked.');
  if (isZoneMissing)
    return ready(
      'False',
      cloudletReasons.ZoneNotFound,
      `spec.zoneRef: there is no Zone '${cloudlet.spec.zoneRef?.name}'.`,
    );
  if (connection.status !== 'True')
    return ready(connection.status, connection.reason, connection.message);
  const platform = conditionOf(cloudlet, cloudletConditions.PlatformReady);
  if (platform?.status !== 'True')
    return ready(
      platform?.status ?? 'False',
      platform?.reason ?? cloudletReasons.PlatformNotReady,
      platform?.message ?? 'The agent has not reported on its platform yet.',
    );
  if ((cloudlet.spec.maintenance ?? 'Normal') !== 'Normal')
    return ready(
      'False',
      cloudletReasons.Draining,
      `spec.maintenance is ${cloudlet.spec.maintenance}: no new instance is placed here.`,
    );
  return ready('True', cloudletReasons.Ready, 'Instances can be placed and are served.');
}

/**
 * What only a person mends. A site that no agent has joined yet, one that is cut off, one that is revoked and
 * one that drains have nothing of the kind: they are as somebody wants them, or may come back by themselves.
 */
export function obstacleOf(result: Result): Obstacle | undefined {
  const { cloudlet, connection, holdback, isZoneMissing, now } = result;
  if (holdback !== undefined || cloudlet.spec.revoked) return undefined;
  const { reason, message } = readyVerdict(result);
  if (isZoneMissing) {
    const since = notTrueSince(cloudlet.status?.conditions, cloudletConditions.Ready, now);
    return { reason, message, since, patienceMs: patienceMs.missing };
  }
  // Agents that take the Lease from each other stay refused until a key is accepted again; those that no hub can
  // speak with until one of the two is upgraded.
  if (
    connection.reason === cloudletReasons.DuplicateAgent ||
    connection.reason === cloudletReasons.VersionMismatch
  )
    return { reason, message, since: now, patienceMs: 0 };
  const platform = conditionOf(cloudlet, cloudletConditions.PlatformReady);
  if (connection.status !== 'True' || platform?.status !== 'False') return undefined;
  const connected = conditionOf(cloudlet, cloudletConditions.Connected);
  const connectedSince =
    connected?.status === 'True' ? Date.parse(connected.lastTransitionTime) : now;
  const since = Math.max(connectedSince, Date.parse(platform.lastTransitionTime));
  return { reason, message, since, patienceMs: patienceMs.machines };
}
