/**
 * The App controller: writes each state of an App down as a ControllerRevision, and says whether it can be
 * placed.
 *
 * Guarantees: a revision is never changed and is kept while an AppInst runs it, may return to it, or waits
 * for it; an App that AppInsts refer to is not deleted.
 */
import { type App, appReasons, finalizers } from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import type { ControllerRevision } from '../../kinds.ts';
import { revisionName, revisionOf, staleRevisions } from '../../plan/revision.ts';
import { refs, type Region } from '../../region.ts';
import { createStatusWriter } from '../../status.ts';
import { dropFinalizer, ensureFinalizer, referrersText } from '../finalizer.ts';
import { operatorConditions, operatorFields, statusOf } from './conditions.ts';
import { problemOf } from './desired.ts';

const done: Outcome = { kind: 'done' };

export function createAppReconcile(
  region: Region,
): (context: ReconcileContext) => Promise<Outcome> {
  const { apps: client, revisions } = region.clients;
  const statuses = createStatusWriter<App>({
    kind: 'App',
    client,
    freshest: region.apps,
    fields: operatorFields,
    conditions: operatorConditions,
  });

  return async ({ key, signal }) => {
    const found = region.apps.get(key); //                                                 1 load
    if (!found) return done;
    const { namespace = '', name } = found.metadata;
    const users = region.referrers(refs.app(namespace, name));
    const instances = users.length;
    const now = region.clock.now();
    if (found.metadata.deletionTimestamp) {
      //                                             2 deletion
      if (instances === 0) {
        await dropFinalizer(client, region.apps, found, finalizers.app, signal);
        return done;
      }
      const message = `It is used by ${referrersText('AppInst', users)}.`;
      const problem = { reason: appReasons.InUse, message };
      const { revision } = found.status ?? {};
      await statuses.write(
        found,
        statusOf({ app: found, now, instances, problem, revision }),
        signal,
      );
      return done;
    }
    const app = await ensureFinalizer(client, region.apps, found, finalizers.app, signal); // 3 finalizer
    const existing = revisionsOf(region, app); //                                          5 observe
    const flavor = region.flavors.get(app.spec.defaultFlavorRef?.name ?? '');
    const problem = problemOf(app, flavor); //                                             6 plan
    const revision = revisionName(app);
    if (!existing.some(({ metadata }) => metadata.name === revision))
      //                   7 act
      await create(app, nextNumber(existing), signal);
    await collect(staleRevisions(existing, revisionsInUse(region, app, revision)), signal);
    await statuses.write(app, statusOf({ app, now, revision, instances, problem }), signal);
    return done;
  };

  async function create(app: App, number: number, signal: AbortSignal): Promise<void> {
    try {
      await revisions.create(revisionOf(app, number), { signal });
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error; // its name is its content: it is there
    }
  }

  async function collect(stale: readonly ControllerRevision[], signal: AbortSignal): Promise<void> {
    for (const { metadata } of stale)
      try {
        const uid = metadata.uid ?? '';
        await revisions.delete(metadata.name, metadata.namespace, { uid, signal });
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error;
      }
  }
}

function revisionsOf(region: Region, app: App): readonly ControllerRevision[] {
  return region.informers.revisions.cache.byIndex('app', app.metadata.uid);
}

const nextNumber = (existing: readonly ControllerRevision[]): number =>
  Math.max(0, ...existing.map(({ revision }) => revision)) + 1;

/** What an AppInst runs, may return to, must not try again, or was told to wait for. */
function revisionsInUse(region: Region, app: App, current: string): ReadonlySet<string> {
  const { namespace = '', name } = app.metadata;
  const used = region.referrers(refs.app(namespace, name)).flatMap(({ spec, status }) => {
    const { revision, lastHealthy, failed, available } = status?.rollout ?? {};
    return [revision, lastHealthy, failed, available, spec.rolloutRevision];
  });
  return new Set([current, ...used.filter((used) => used !== undefined)]);
}
