/**
 * The Cloudlet controller: lets a site's agents in, says whether the site is connected, and keeps the record
 * of what it has given away in sight.
 *
 * Guarantees: a key is on record in `status.keys` before its certificate exists; a Cloudlet is not deleted
 * while instances are placed at it or wait to be removed from it; the site's Lease and join Secret are there
 * as long as the Cloudlet is.
 */
import {
  type Cloudlet,
  type CloudletLedgerSpec,
  groupVersion,
  labels,
  namespaces,
} from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { EventRecorder, Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import type { Authority } from '@cloudlet/tunnel';
import { joinSecretName, siteLeaseName } from '../../names.ts';
import { confirmRemoval, expel, tombstoneOf } from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { createPostponement } from '../../postponement.ts';
import type { Region } from '../../region.ts';
import { stallsInMs } from '../../stalled.ts';
import { conditionOf, createStatusWriter, type StatusWriter, timestamp } from '../../status.ts';
import { answerRequest } from './answer.ts';
import {
  obstacleOf,
  operatorConditions,
  operatorFields,
  type Result,
  statusOf,
  withdrawnKeys,
} from './conditions.ts';
import { ensureIdentity } from './identity.ts';
import { joinRecordOf, type JoinAddresses, mintJoin } from './join.ts';
import type { Liveness } from './liveness.ts';
import { confirmedRemovals, type Observed, observe, waitingOf } from './observe.ts';
import { finish, holdbackOf, ignoreNotFound } from './remove.ts';
import { judgeRequest, keysOf } from './requests.ts';

export interface CloudletDependencies {
  readonly region: Region;
  readonly liveness: Liveness;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly authority: () => Authority;
  /** host:port of hub and enrolment, as agents reach them. */
  readonly addresses: Omit<JoinAddresses, 'caPin'>;
}

const done: Outcome = { kind: 'done' };

export function createCloudletReconcile(
  dependencies: CloudletDependencies,
): (context: ReconcileContext) => Promise<Outcome> {
  const { region, liveness } = dependencies;
  const statuses = createStatusWriter<Cloudlet>({
    kind: 'Cloudlet',
    client: region.clients.cloudlets,
    freshest: region.cloudlets,
    fields: operatorFields,
    conditions: operatorConditions,
  });
  const report = reporter(dependencies, statuses);

  return async ({ key, signal }) => {
    // 1: load
    const found = region.cloudlets.get(key);
    if (!found) {
      liveness.forget(key);
      return done;
    }
    const isLeaving = found.metadata.deletionTimestamp !== undefined;
    // 3: finalizer and id
    const cloudlet = isLeaving ? found : await ensureIdentity(region, found, signal);
    // 5: observe
    const observed = observe(region, liveness, cloudlet);
    const holdback = isLeaving ? holdbackOf(observed) : undefined;
    // 2: deletion
    if (isLeaving && holdback === undefined) {
      await finish(region, cloudlet, signal);
      return done;
    }
    // 6: plan
    const { result, judged } = await plan(observed, holdback);
    // 7: act
    await provide(dependencies, observed, signal);
    // and report: keys are on record before their certificates exist
    const reported = await report(key, result, signal);
    for (const { request, verdict } of judged)
      await answerRequest(
        region,
        dependencies.authority(),
        reported.cloudlet,
        { request, verdict },
        signal,
      );
    return nextLook(result, reported.postponedMs);
  };
}

/** What the status is to be, and what each request gets. */
async function plan(observed: Observed, holdback: string | undefined) {
  const { cloudlet, join, now, lease } = observed;
  const judged = await Promise.all(
    observed.requests.map((request) => judgeRequest(request, cloudlet, join, now)),
  );
  const keys = keysOf(cloudlet, join, judged, now);
  const known = new Set([
    ...keys.map(({ fingerprint }) => fingerprint),
    ...(cloudlet.spec.acceptedKeys ?? []),
    ...(cloudlet.spec.revokedKeys ?? []),
  ]);
  const result: Result = {
    cloudlet,
    now,
    connection: observed.connection,
    keys,
    waiting: waitingOf(lease, known),
    joinToken: join && {
      secretName: joinSecretName(cloudlet.metadata.name),
      expiresAt: join.expiresAt,
      ...(join.boundKey === undefined ? {} : { usedBy: join.boundKey }),
    },
    ledger: observed.ledger,
    isZoneMissing: observed.isZoneMissing,
    holdback,
  };
  return { result, judged };
}

/** The site's Lease and join Secret, and the removals that it confirmed. */
async function provide(
  dependencies: CloudletDependencies,
  observed: Observed,
  signal: AbortSignal,
): Promise<void> {
  const { region } = dependencies;
  const { cloudlet, lease, join } = observed;
  if (cloudlet.metadata.deletionTimestamp === undefined) {
    if (!lease) await ensureLease(region, cloudlet, signal);
    const isOwn = join?.cloudletId === instanceIdOf(cloudlet);
    if (!isOwn && !cloudlet.spec.revoked) await ensureJoin(dependencies, observed, signal);
  }
  await settleRemovals(region, observed);
}

/** Takes removals off the ledger that the site confirmed, and raises those that it cannot follow. */
async function settleRemovals(region: Region, observed: Observed): Promise<void> {
  const { cloudlet, lease, ledger: known, now } = observed;
  const confirmed = confirmedRemovals(lease);
  const orphans = cloudlet.status?.site?.orphans ?? [];
  const settle = (ledger: CloudletLedgerSpec): CloudletLedgerSpec => {
    const left = confirmed.reduce(
      (next, { id, sequence }) => confirmRemoval(next, id, sequence),
      ledger,
    );
    return orphans
      .filter(({ id }) => tombstoneOf(left, id))
      .reduce((next, orphan) => expel(next, orphan, timestamp(now)), left);
  };
  if (!known || settle(known) === known) return;
  const site = { name: cloudlet.metadata.name, id: instanceIdOf(cloudlet) ?? '' };
  await region.ledgers.write(site, (ledger) => ({ ledger: settle(ledger), result: undefined }));
}

async function ensureLease(region: Region, cloudlet: Cloudlet, signal: AbortSignal): Promise<void> {
  const { name, uid } = cloudlet.metadata;
  await ignoreConflict(
    region.clients.leases.create(
      {
        metadata: {
          name: siteLeaseName(name),
          namespace: namespaces.system,
          labels: { [labels.cloudlet]: name, [labels.managedBy]: 'cloudlet-operator' },
          ownerReferences: [
            { apiVersion: groupVersion, kind: 'Cloudlet', name, uid, controller: true },
          ],
        },
        spec: { leaseDurationSeconds: 90 },
      },
      { signal },
    ),
  );
}

/** Makes the join Secret; one of an earlier Cloudlet of the name, or a damaged one, gives way. */
async function ensureJoin(
  { region, authority, addresses }: CloudletDependencies,
  { cloudlet, now }: Observed,
  signal: AbortSignal,
): Promise<void> {
  const { secrets } = region.clients;
  const name = joinSecretName(cloudlet.metadata.name);
  // Asked of the API server: a token that somebody was just given must not be replaced.
  const live = await secrets.get(name, namespaces.system, { signal }).catch(undefinedIfNotFound);
  if (joinRecordOf(live)?.cloudletId === instanceIdOf(cloudlet)) return;
  if (live) {
    const { uid = '', resourceVersion = '' } = live.metadata;
    const precondition = { uid, resourceVersion, signal };
    await ignoreNotFound(secrets.delete(name, namespaces.system, precondition));
  }
  const join = mintJoin(cloudlet, { ...addresses, caPin: authority().pin }, now);
  await ignoreConflict(secrets.create(join, { signal }));
}

function undefinedIfNotFound(error: unknown): undefined {
  if (error instanceof NotFoundError) return undefined;
  throw error;
}

/** What exists already was made by another run of the same reconcile. */
async function ignoreConflict(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
  }
}

interface Reported {
  readonly cloudlet: Cloudlet;
  /** Only a count differs, which is written after so long. */
  readonly postponedMs?: number;
}

function reporter({ events, region }: CloudletDependencies, statuses: StatusWriter<Cloudlet>) {
  const postpone = createPostponement(region.clock);
  return async (key: string, result: Result, signal: AbortSignal): Promise<Reported> => {
    const { cloudlet } = result;
    const status = statusOf(result);
    const urgent = { ...status, allocated: cloudlet.status?.allocated };
    const isCountOnly =
      statuses.isCurrent(cloudlet, urgent) && !statuses.isCurrent(cloudlet, status);
    const postponedMs = postpone(key, isCountOnly);
    if (postponedMs !== undefined) return { cloudlet, postponedMs };
    const before = conditionOf(cloudlet, 'Ready');
    const written = await statuses.write(cloudlet, status, signal);
    for (const { kind, message } of withdrawnKeys(result))
      events.record({
        regarding: written,
        type: 'Warning',
        reason: `Key${kind}`,
        action: 'Reconcile',
        note: `${message}: its agent is cut off and gets no certificate.`,
      });
    const after = status.conditions?.find(({ type }) => type === 'Ready');
    if (after && (after.status !== before?.status || after.reason !== before.reason))
      events.record({
        regarding: written,
        type: after.status === 'True' ? 'Normal' : 'Warning',
        reason: after.reason,
        action: 'Reconcile',
        note: after.message,
      });
    return { cloudlet: written };
  };
}

function nextLook(result: Result, postponedMs = Infinity): Outcome {
  const afterMs = Math.min(
    result.connection.recheckMs ?? Infinity,
    postponedMs,
    (stallsInMs(obstacleOf(result), result.now) ?? Infinity) + 100,
  );
  if (!Number.isFinite(afterMs)) return done;
  return {
    kind: 'requeue',
    afterMs,
    reason: 'the Lease may expire, a count waits to be written, or what stands in the way stays',
  };
}
