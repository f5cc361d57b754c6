/**
 * Holds back writes of counts alone, so that a thousand instances are not a thousand writes to what they
 * belong to, and so that those which are left never take the API server from what people wait for.
 *
 * Guarantees: a count is written `postponeMs` after it changed first, or, where many objects wait, in its
 * turn: `writesPerSecond` at most; whatever else of a status changes takes the count with it at once.
 */
import type { Clock } from '@cloudlet/runtime/base';

const postponeMs = 2_000;
const writesPerSecond = 10;
/** Whoever has not come for its turn by then was deleted meanwhile. */
const forgottenMs = 60_000;

/** Gives the milliseconds that a write has to wait, or nothing when it is time to write. */
export type Postponement = (key: string, isCountOnly: boolean) => number | undefined;

export function createPostponement(clock: Clock): Postponement {
  /** When each is due, in the order of that. */
  const due = new Map<string, number>();
  let last = -Infinity;
  const reserve = (key: string, now: number): number => {
    for (const [other, at] of due) {
      if (at + forgottenMs > now) break;
      due.delete(other);
    }
    last = Math.max(now + postponeMs, last + 1_000 / writesPerSecond);
    due.set(key, last);
    return last;
  };
  return (key, isCountOnly) => {
    const now = clock.monotonic();
    const at = due.get(key) ?? (isCountOnly ? reserve(key, now) : now);
    if (isCountOnly && now < at) return at - now;
    due.delete(key);
    return undefined;
  };
}
