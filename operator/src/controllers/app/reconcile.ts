/**
 * The App controller: writes each state of an App down as a ControllerRevision, and says whether it can be
 * placed.
 *
 * Guarantees: a revision is never changed and is kept while an AppInst runs it, may return to it, or waits
 * for it; an App that AppInsts refer to is not deleted.
 */
import { type App, type AppInst, appReasons, finalizers } from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import type { ControllerRevision } from '../../kinds.ts';
import { revisionName, revisionOf, staleRevisions } from '../../plan/revision.ts';
import { refs, type Region } from '../../region.ts';
import { lookWhenStalled } from '../../stalled.ts';
import { createPostponement } from '../../postponement.ts';
import { createStatusWriter } from '../../status.ts';
import { dropFinalizer, ensureFinalizer, referrersText } from '../finalizer.ts';
import {
  obstacleOf,
  operatorConditions,
  operatorFields,
  type Result,
  statusOf,
} from './conditions.ts';
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

  const postpone = createPostponement(region.clock);

  return async ({ key, signal }) => {
    // 1: load
    const found = region.apps.get(key);
    if (!found) return done;
    const users = usersOf(region, found);
    // 2: deletion
    if (found.metadata.deletionTimestamp) return leave(found, users, signal);
    // 3: finalizer
    const app = await ensureFinalizer(client, region.apps, found, finalizers.app, signal);
    // 5: observe
    const existing = revisionsOf(region, app);
    const flavor = region.flavors.get(app.spec.defaultFlavorRef?.name ?? '');
    // 6: plan
    const problem = problemOf(app, flavor);
    const [now, instances] = [region.clock.now(), users.length];
    const revision = revisionName(app);
    // 7: act
    if (!existing.some(({ metadata }) => metadata.name === revision))
      await create(app, nextNumber(existing), signal);
    await collect(staleRevisions(existing, revisionsInUse(region, app, revision)), signal);
    const result: Result = { app, now, revision, instances, problem };
    const status = statusOf(result);
    const urgent = { ...status, instances: app.status?.instances };
    const isCountOnly = statuses.isCurrent(app, urgent) && !statuses.isCurrent(app, status);
    const afterMs = postpone(key, isCountOnly);
    if (afterMs !== undefined)
      return { kind: 'requeue', afterMs, reason: 'the count of instances waits to be written' };
    await statuses.write(app, status, signal);
    return lookWhenStalled(obstacleOf(result), now);
  };

  /** Says who uses it, or lets it go. */
  async function leave(app: App, users: readonly AppInst[], signal: AbortSignal): Promise<Outcome> {
    if (users.length === 0) {
      await dropFinalizer(client, region.apps, app, finalizers.app, signal);
      return done;
    }
    const message = `It is used by ${referrersText('AppInst', users)}.`;
    const problem = { reason: appReasons.InUse, message };
    const { revision } = app.status ?? {};
    const now = region.clock.now();
    const status = statusOf({ app, now, instances: users.length, problem, revision });
    await statuses.write(app, status, signal);
    return done;
  }

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

const usersOf = (region: Region, { metadata }: App): readonly AppInst[] =>
  region.referrers(refs.app(metadata.namespace ?? '', metadata.name));

function revisionsOf(region: Region, app: App): readonly ControllerRevision[] {
  return region.informers.revisions.cache.byIndex('app', app.metadata.uid);
}

const nextNumber = (existing: readonly ControllerRevision[]): number =>
  Math.max(0, ...existing.map(({ revision }) => revision)) + 1;

/** What an AppInst runs, may return to, must not try again, or was told to wait for. */
function revisionsInUse(region: Region, app: App, current: string): ReadonlySet<string> {
  const used = usersOf(region, app).flatMap(({ spec, status }) => {
    const { revision, lastHealthy, failed, available } = status?.rollout ?? {};
    return [revision, lastHealthy, failed, available, spec.rolloutRevision];
  });
  return new Set([current, ...used.filter((used) => used !== undefined)]);
}
