/**
 * The Flavor controller: keeps a Flavor while something refers to it. A Flavor has no status; who asks why it
 * stays finds an Event that names what refers to it.
 */
import { finalizers } from '@cloudlet/crds';
import type { EventRecorder, Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import { refs, type Region } from '../../region.ts';
import { dropFinalizer, ensureFinalizer, referrersText } from '../finalizer.ts';

const done: Outcome = { kind: 'done' };

export function createFlavorReconcile(
  region: Region,
  events: Pick<EventRecorder, 'record'>,
): (context: ReconcileContext) => Promise<Outcome> {
  const client = region.clients.flavors;
  return async ({ key, signal }) => {
    // 1: load
    const flavor = region.flavors.get(key);
    if (!flavor) return done;
    // 3: finalizer
    if (flavor.metadata.deletionTimestamp === undefined) {
      await ensureFinalizer(client, region.flavors, flavor, finalizers.flavor, signal);
      return done;
    }
    const users = usersOf(region, key);
    // 2: deletion
    if (users === undefined) {
      await dropFinalizer(client, region.flavors, flavor, finalizers.flavor, signal);
      return done;
    }
    events.record({
      regarding: flavor,
      type: 'Warning',
      reason: 'InUse',
      action: 'Delete',
      note: `It is used by ${users}.`,
    });
    return done;
  };
}

function usersOf(region: Region, flavor: string): string | undefined {
  const apps = region.informers.apps.cache.byIndex('refs', refs.flavor(flavor));
  const appInsts = region.referrers(refs.flavor(flavor));
  const users = [
    ...(apps.length > 0 ? [referrersText('App', apps)] : []),
    ...(appInsts.length > 0 ? [referrersText('AppInst', appInsts)] : []),
  ];
  return users.length > 0 ? users.join(' and ') : undefined;
}
