/**
 * The AppInst controller: finds a site for an instance, writes down what it takes there, pins what it runs,
 * and sums up what the site reports.
 *
 * Guarantees: from apply to Ready at most three writes to the object (identity; placement and roll-out;
 * Ready) beside the site's own report, and a share of one ledger write; the ledger is written before the
 * status that copies it; nothing at a site is touched because something was not found.
 */
import { type AppInst, appInstReasons, finalizers } from '@cloudlet/crds';
import type { EventRecorder, Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import { stallsInMs } from '../../stalled.ts';
import { conditionOf, createStatusWriter, type StatusWriter, timestamp } from '../../status.ts';
import { ensureIdentity } from './identity.ts';
import { allocate, type Allocation } from './allocate.ts';
import { operatorConditions, operatorFields, type Result, statusOf } from './conditions.ts';
import { decide, type Decision } from './desired.ts';
import { type ObserveDependencies, type Observed, observe } from './observe.ts';
import { expelOrphans, standsWherePlaced } from './orphans.ts';
import { releaseFinalizer, removeInstance } from './remove.ts';
import type { Rollout } from './rollout.ts';
import { obstacleOf } from './stalled.ts';
import type { ChangeTracing } from './tracing.ts';
import { removeVanished, type Vanished } from './vanished.ts';

export interface AppInstDependencies extends ObserveDependencies {
  readonly events: Pick<EventRecorder, 'record'>;
  readonly vanished: Vanished;
  /** Copied secrets are read again after so long. */
  readonly secretResyncMs?: number;
  /** Where there is a collector. */
  readonly tracing?: ChangeTracing | undefined;
}

type Reconcile = (context: ReconcileContext) => Promise<Outcome>;
const done: Outcome = { kind: 'done' };
/** A Secret that an App waits for is looked for again after so long. */
const missingSecretMs = 10_000;
/**
 * What a site removed goes off its ledger by another controller. A watch that fell behind can bring that
 * ledger as it was before the order and as it is after it, which looks as if nothing had happened.
 */
const removalLookMs = 30_000;

export function createAppInstReconcile(dependencies: AppInstDependencies): Reconcile {
  const { region, tracing, vanished } = dependencies;
  const statuses = createStatusWriter<AppInst>({
    kind: 'AppInst',
    client: region.clients.appInsts,
    freshest: region.appInsts,
    fields: operatorFields,
    conditions: operatorConditions,
  });
  const report = reporter(dependencies, statuses);

  return async ({ key, signal }) => {
    // Those that had the name before, and went without their finalizer's leave
    await removeVanished(region, vanished, key);
    // 1: load
    const object = region.appInsts.get(key);
    if (!object) return done;
    const began = tracing?.now() ?? 0;
    // 2: deletion
    if (object.metadata.deletionTimestamp) return remove(dependencies, report, object, signal);
    // 3: finalizer and id
    const { appInst, id } = await ensureIdentity(region, object, signal);
    // 5: observe
    const observed = await observe(dependencies, appInst, id, signal);
    // 4 and 6: suspend, plan
    const decision = decide(observed);
    if (decision.kind === 'Wait')
      return { kind: 'requeue', afterMs: decision.afterMs, reason: decision.reason };
    // 7: act
    const allocation = await allocate(region, observed, decision, signal);
    // and report
    const result = resultOf(observed, decision, allocation);
    const written = await report(result, signal);
    tracing?.reconciled(appInst, written, began);
    if (allocation.holding && standsWherePlaced(written)) await expelOrphans(region, id);
    return nextLook(dependencies, observed, decision, result);
  };
}

/** What the status is made of. */
function resultOf(observed: Observed, decision: Decision, allocation: Allocation): Result {
  const { appInst, id, now } = observed;
  const refusal = decision.kind === 'Refused' ? decision.problem : allocation.refusal;
  const placed = allocation.holding && {
    cloudlet: allocation.holding.cloudlet,
    name: allocation.holding.site,
    entry: allocation.holding.entry,
    spec: decision.kind === 'Place' && !refusal ? decision.spec : allocation.runningSpec,
  };
  return {
    appInst,
    id,
    now,
    refusal,
    placed,
    rollout: rolloutOf(observed, decision, allocation),
    verdict: observed.verdict,
  };
}

/** The roll-out as it is pinned from now on; a refusal leaves it as it was. */
function rolloutOf(
  { appInst, now, choice }: Observed,
  decision: Decision,
  allocation: Allocation,
): Rollout | undefined {
  const previous = appInst.status?.rollout;
  if (decision.kind !== 'Place' || allocation.refusal || !allocation.holding) {
    const lastHealthy = choice?.lastHealthy ?? previous?.lastHealthy;
    return previous && { ...previous, ...(lastHealthy === undefined ? {} : { lastHealthy }) };
  }
  const { sequence } = allocation.holding.entry;
  const startedAt = previous?.sequence === sequence ? previous.startedAt : undefined;
  return { ...decision.pin, sequence, startedAt: startedAt ?? timestamp(now) };
}

/** When to look again though nothing changes: a deadline, and secrets, which nobody may watch. */
function nextLook(
  { secretResyncMs = 5 * 60_000 }: AppInstDependencies,
  { verdict, copy, now }: Observed,
  decision: Decision,
  result: Result,
): Outcome {
  if (decision.kind === 'Idle') return done;
  const deadlineMs = verdict.kind === 'Underway' ? verdict.deadlineMs : undefined;
  const isMissing =
    decision.kind === 'Refused' && decision.problem.reason === appInstReasons.SecretNotFound;
  const secretMs = isMissing ? missingSecretMs : copy ? secretResyncMs : undefined;
  const stallsMs = stallsInMs(obstacleOf(result), now);
  const afterMs = Math.min(deadlineMs ?? Infinity, secretMs ?? Infinity, stallsMs ?? Infinity);
  if (!Number.isFinite(afterMs)) return done;
  return { kind: 'requeue', afterMs: afterMs + 100, reason: 'a deadline, or a secret' };
}

type Report = (result: Result, signal: AbortSignal) => Promise<AppInst>;

/** Writes the status, and an event where Ready changed. */
function reporter({ events }: AppInstDependencies, statuses: StatusWriter<AppInst>): Report {
  return async (result, signal) => {
    const before = conditionOf(result.appInst, 'Ready');
    const status = statusOf(result);
    const written = await statuses.write(result.appInst, status, signal);
    const after = status.conditions?.find(({ type }) => type === 'Ready');
    if (after && (after.status !== before?.status || after.reason !== before.reason))
      events.record({
        regarding: written,
        type: after.status === 'True' || isExpected(after.reason) ? 'Normal' : 'Warning',
        reason: after.reason,
        action: 'Reconcile',
        note: after.message,
      });
    return written;
  };
}

const isExpected = (reason: string): boolean =>
  (
    [
      appInstReasons.WaitingForSite,
      appInstReasons.Progressing,
      appInstReasons.Starting,
      appInstReasons.PoweredOff,
      appInstReasons.Suspended,
      appInstReasons.Removing,
    ] as string[]
  ).includes(reason);

async function remove(
  { region }: AppInstDependencies,
  report: Report,
  appInst: AppInst,
  signal: AbortSignal,
): Promise<Outcome> {
  // Let go of already, or never taken in hand.
  if (!appInst.metadata.finalizers?.includes(finalizers.appinst)) return done;
  const progress = await removeInstance(region, appInst, signal);
  if (progress.kind === 'Gone') {
    await releaseFinalizer(region, appInst, signal);
    return done;
  }
  const removal = { reason: appInstReasons.Removing, message: progress.message };
  await report(removalResult(appInst, region.clock.now(), removal), signal);
  if (!progress.isUnderway) return done; // the site's return leads back here
  return { kind: 'requeue', afterMs: removalLookMs, reason: 'a site is removing it' };
}

/** What it had stays on record while it goes: the copies of the ledger, and what the site was told. */
function removalResult(appInst: AppInst, now: number, removal: Result['removal']): Result {
  return { appInst, id: undefined, now, removal };
}
