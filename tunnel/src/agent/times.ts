/**
 * What the time may be. A machine may wake up in 1970, and a hub that tells the time may be wrong: neither may
 * keep an agent from hubs that are right.
 */
import type { Clock } from '@cloudlet/runtime/base';

export interface AgentClock extends Clock {
  /** Milliseconds since the epoch, the likeliest first. @default `now` alone */
  times?(): readonly number[];
}

export const timesOf = (clock: AgentClock): readonly number[] => clock.times?.() ?? [clock.now()];

/** What a check gives at the first time at which it does not throw. @throws what it threw first. */
export function atAnyOf<T>(times: readonly number[], check: (now: number) => T): T {
  let failure: unknown = new RangeError('no time to check at');
  for (const [index, now] of times.entries())
    try {
      return check(now);
    } catch (error) {
      if (index === 0) failure = error;
    }
  throw failure;
}
