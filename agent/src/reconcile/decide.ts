/**
 * What is to be done about one instance: a pure function of what the region wants, what is there and what
 * its lane came to.
 *
 * Guarantees: nothing is removed but on an order to remove; nothing is done to what is as planned, so a
 * restart of the agent or the return of its link touches nothing; a suspended or orphaned instance, and one
 * whose only plan is not understood, is left as it is; a plan of a former life, which the region may have taken
 * back meanwhile, is begun only when the region was heard or is not to be.
 */
import type { InstanceObservation } from '@cloudlet/drivers';
import type { InstanceRecord } from '../store/index.ts';
import type { LaneState, Work } from './lanes.ts';

export type Decision =
  | { readonly kind: 'Nothing' }
  /** End what the lane is at. */
  | { readonly kind: 'LeaveAlone' }
  | { readonly kind: 'Begin'; readonly work: Work }
  /** The same work once more: what is there drifted. */
  | { readonly kind: 'Again' };

export interface Situation {
  readonly record: InstanceRecord;
  readonly observed: InstanceObservation | undefined;
  readonly lane: LaneState;
  readonly work: Work | undefined;
  /** The plan came in this life of the agent and nothing was begun since. */
  readonly fresh: boolean;
  /** The region has told in this life all that it wants, or was silent for so long that the disk counts. */
  readonly informed: boolean;
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly now: number;
}

/** After its work is done an instance that still differs is tried again after this long. */
export const driftMs = 30_000;
/** And one that does not is looked at after this long, for what an observation cannot show. */
export const resyncMs = 600_000;

const nothing: Decision = { kind: 'Nothing' };

export function decide(situation: Situation): Decision {
  const { record, work } = situation;
  if (record.removed) return work ? { kind: 'LeaveAlone' } : nothing;
  if (record.removal) {
    const isUnderWay = work?.kind === 'Remove' && work.removal.sequence === record.removal.sequence;
    return isUnderWay
      ? nothing
      : { kind: 'Begin', work: { kind: 'Remove', removal: record.removal } };
  }
  if (!record.plan || record.plan.suspend || record.orphan)
    return work ? { kind: 'LeaveAlone' } : nothing;
  return decidePlan(situation, record.plan);
}

function decidePlan(
  { record, observed, lane, work, fresh, informed, startedAt, now }: Situation,
  plan: NonNullable<InstanceRecord['plan']>,
): Decision {
  const isOurs = observed?.sequence === plan.sequence && !record.displaces;
  const isThere = isOurs && observed?.deployed.status === 'True';
  const begin: Decision = { kind: 'Begin', work: { kind: 'Ensure', plan } };
  if (work === undefined && !fresh && !informed) return nothing;
  if (work === undefined) return isThere && !fresh && now - startedAt < resyncMs ? nothing : begin;
  if (work.kind !== 'Ensure' || work.plan !== plan) return begin;
  if (lane.kind !== 'Done') return nothing; // the lane has its own times
  const sinceMs = now - lane.at;
  const isGone = !observed && sinceMs > 1000;
  return isGone || sinceMs > (isThere ? resyncMs : driftMs) ? { kind: 'Again' } : nothing;
}
