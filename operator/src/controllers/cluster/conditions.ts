/** The status of a Cluster. */
import {
  type Cloudlet,
  type Cluster,
  clusterConditions,
  clusterReasons,
  type ClusterStatus,
} from '@cloudlet/crds';
import { notTrueSince, type Obstacle, patienceMs, stalledVerdicts } from '../../stalled.ts';
import { conditionOf, conditionsFrom, type Verdict } from '../../status.ts';

export const operatorFields = ['observedGeneration', 'instances'] as const;
export const operatorConditions = [clusterConditions.Ready, clusterConditions.Stalled] as const;

export interface Result {
  readonly cluster: Cluster;
  readonly now: number;
  readonly cloudlet: Cloudlet | undefined;
  readonly instances: number;
  /** Who keeps it from being deleted. */
  readonly users?: string | undefined;
}

export function statusOf(result: Result): ClusterStatus {
  const { cluster, now, instances } = result;
  const { generation } = cluster.metadata;
  return {
    observedGeneration: generation,
    instances,
    conditions: conditionsFrom(
      [readyVerdict(result), ...stalledVerdicts(obstacleOf(result), now)],
      cluster.status?.conditions,
      generation,
      now,
    ),
  };
}

/** A site that is not Ready is none: it has a status of its own, and may come back. */
export function obstacleOf(result: Result): Obstacle | undefined {
  const { cluster, cloudlet, users, now } = result;
  if (cloudlet || users !== undefined) return undefined;
  const { reason, message } = readyVerdict(result);
  const since = notTrueSince(cluster.status?.conditions, clusterConditions.Ready, now);
  return { reason, message, since, patienceMs: patienceMs.missing };
}

function readyVerdict({ cluster, cloudlet, users }: Result): Verdict {
  const ready = (status: Verdict['status'], reason: string, message: string): Verdict => ({
    type: clusterConditions.Ready,
    status,
    reason,
    message,
  });
  const { name } = cluster.spec.cloudletRef;
  if (users !== undefined) return ready('False', clusterReasons.InUse, `It is used by ${users}.`);
  if (!cloudlet)
    return ready(
      'False',
      clusterReasons.CloudletNotFound,
      `spec.cloudletRef: there is no Cloudlet '${name}'.`,
    );
  const site = conditionOf(cloudlet, 'Ready');
  if (site?.status !== 'True')
    return ready(
      site?.status ?? 'False',
      clusterReasons.CloudletNotReady,
      `The site is not Ready: ${site?.message ?? 'it has not been looked at yet'}`,
    );
  return ready('True', clusterReasons.Ready, 'It takes instances.');
}
