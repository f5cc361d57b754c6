/** The Cluster controller: says whether it takes instances, and keeps it while some refer to it. */
import { type Cluster, finalizers } from '@cloudlet/crds';
import type { Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import { refs, type Region } from '../../region.ts';
import { lookWhenStalled } from '../../stalled.ts';
import { createStatusWriter } from '../../status.ts';
import { dropFinalizer, ensureFinalizer, referrersText } from '../finalizer.ts';
import {
  obstacleOf,
  operatorConditions,
  operatorFields,
  type Result,
  statusOf,
} from './conditions.ts';

const done: Outcome = { kind: 'done' };

export function createClusterReconcile(
  region: Region,
): (context: ReconcileContext) => Promise<Outcome> {
  const client = region.clients.clusters;
  const statuses = createStatusWriter<Cluster>({
    kind: 'Cluster',
    client,
    freshest: region.clusters,
    fields: operatorFields,
    conditions: operatorConditions,
  });

  return async ({ key, signal }) => {
    // 1: load
    const found = region.clusters.get(key);
    if (!found) return done;
    const { namespace = '', name } = found.metadata;
    const appInsts = region.referrers(refs.cluster(namespace, name));
    const isLeaving = found.metadata.deletionTimestamp !== undefined;
    // 2: deletion
    if (isLeaving && appInsts.length === 0) {
      await dropFinalizer(client, region.clusters, found, finalizers.cluster, signal);
      return done;
    }
    // 3: finalizer
    const cluster = isLeaving
      ? found
      : await ensureFinalizer(client, region.clusters, found, finalizers.cluster, signal);
    const site = cluster.spec.cloudletRef.name;
    const ledger = region.ledgers.view(site);
    const instances = (ledger?.entries ?? []).filter((entry) => entry.cluster === key).length;
    const now = region.clock.now();
    const result: Result = {
      cluster,
      now,
      cloudlet: region.cloudlets.get(site),
      instances,
      users: isLeaving ? referrersText('AppInst', appInsts) : undefined,
    };
    // 7: report
    await statuses.write(cluster, statusOf(result), signal);
    return lookWhenStalled(obstacleOf(result), now);
  };
}
