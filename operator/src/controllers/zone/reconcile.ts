/** The Zone controller: counts its sites, and keeps it while something refers to it. */
import { finalizers, type Zone } from '@cloudlet/crds';
import type { Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import { refs, type Region } from '../../region.ts';
import { createStatusWriter } from '../../status.ts';
import { dropFinalizer, ensureFinalizer, referrersText } from '../finalizer.ts';
import { operatorConditions, operatorFields, statusOf } from './conditions.ts';

const done: Outcome = { kind: 'done' };

export function createZoneReconcile(
  region: Region,
): (context: ReconcileContext) => Promise<Outcome> {
  const client = region.clients.zones;
  const statuses = createStatusWriter<Zone>({
    kind: 'Zone',
    client,
    freshest: region.zones,
    fields: operatorFields,
    conditions: operatorConditions,
  });

  return async ({ key, signal }) => {
    // 1: load
    const found = region.zones.get(key);
    if (!found) return done;
    const cloudlets = region.informers.cloudlets.cache.byIndex('zone', key);
    const users = usersOf(region, key);
    const isLeaving = found.metadata.deletionTimestamp !== undefined;
    // 2: deletion
    if (isLeaving && users === undefined) {
      await dropFinalizer(client, region.zones, found, finalizers.zone, signal);
      return done;
    }
    // 3: finalizer
    const zone = isLeaving
      ? found
      : await ensureFinalizer(client, region.zones, found, finalizers.zone, signal);
    const now = region.clock.now();
    const status = statusOf({ zone, now, cloudlets, users: isLeaving ? users : undefined });
    // 7: report
    await statuses.write(zone, status, signal);
    return done;
  };
}

function usersOf(region: Region, zone: string): string | undefined {
  const cloudlets = region.informers.cloudlets.cache.byIndex('zone', zone);
  const appInsts = region.referrers(refs.zone(zone));
  const users = [
    ...(cloudlets.length > 0 ? [referrersText('Cloudlet', cloudlets)] : []),
    ...(appInsts.length > 0 ? [referrersText('AppInst', appInsts)] : []),
  ];
  return users.length > 0 ? users.join(' and ') : undefined;
}
