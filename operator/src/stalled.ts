/**
 * When an object counts as stalled: it does not become what was asked for unless a person does something.
 * kstatus (Flux) reads the condition `Stalled` as Failed, the health checks of Argo CD as Degraded.
 *
 * Guarantees: what may come right by itself has its time first, since objects that are applied together
 * arrive in any order; a roll-out that goes as it should is never called stalled.
 */
import type { Condition } from '@cloudlet/crds';
import type { Outcome } from '@cloudlet/runtime/kubernetes';
import { timestamp, type Verdict } from './status.ts';

/** What stands in the way. */
export interface Obstacle {
  readonly reason: string;
  readonly message: string;
  /** Since when, in milliseconds since the epoch. */
  readonly since: number;
  /** How long it may stand there before a person is needed. */
  readonly patienceMs: number;
}

export const patienceMs = {
  /** The object itself is wrong: all that time mends is a cache that lags behind. */
  wrong: 10_000,
  /** It names an object that is not there: one that is applied with it may be on its way. */
  missing: 60_000,
  /** There is no room, or a machine is not as it should be: others may leave, and machines start. */
  machines: 5 * 60_000,
} as const;

/** The condition, once the obstacle has stood for too long; nothing otherwise: it is present only when True. */
export function stalledVerdicts(obstacle: Obstacle | undefined, now: number): readonly Verdict[] {
  if (!obstacle || stallsInMs(obstacle, now) !== undefined) return [];
  const { reason, message } = obstacle;
  return [{ type: 'Stalled', status: 'True', reason, message }];
}

/** Milliseconds until it counts, for the next look; undefined when it counts already, or nothing stands there. */
export function stallsInMs(obstacle: Obstacle | undefined, now: number): number | undefined {
  if (!obstacle) return undefined;
  const leftMs = obstacle.since + obstacle.patienceMs - now;
  return leftMs > 0 ? leftMs : undefined;
}

/** What a reconcile ends with that waits for nothing else. */
export function lookWhenStalled(obstacle: Obstacle | undefined, now: number): Outcome {
  const afterMs = stallsInMs(obstacle, now);
  if (afterMs === undefined) return { kind: 'done' };
  return { kind: 'requeue', afterMs: afterMs + 100, reason: 'what stands in the way may stay' };
}

/** Since when a condition is not True: of what was written, or from now on. */
export function notTrueSince(
  conditions: readonly Condition[] | undefined,
  type: string,
  now: number,
): number {
  const before = conditions?.find((condition) => condition.type === type);
  if (!before || before.status === 'True') return Date.parse(timestamp(now));
  return Date.parse(before.lastTransitionTime);
}
