/** What a fault is, and what it may be done to. */
import { describeError, InvalidError, type Random, systemClock } from '@cloudlet/runtime/base';
import { machineMs } from '../scale/hollow-messages.ts';
import type { FaultBed } from './bed.ts';
import type { Span } from './schedule.ts';

/** Ends the fault; what is up again is ready when it resolves. */
export type Heal = () => Promise<void>;

export interface Injection {
  readonly bed: FaultBed;
  /** What the fault is done to. */
  readonly target: string;
  readonly random: Random;
  readonly signal: AbortSignal;
}

export interface Fault {
  readonly name: string;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  readonly holdMs: Span;
  readonly targets: (bed: FaultBed) => readonly string[];
  readonly inject: (injection: Injection) => Promise<Heal>;
}

/**
 * Targets are `site:<name>`, `agents:<name>` (all that share the process of that site), a part of the region
 * such as `hub-1`, or what all share such as `api`.
 */
export const siteOf = (target: string): string => target.slice(target.indexOf(':') + 1);

/** A process and the sites in it cannot have faults at once, nor two faults of the same. */
export function collideIn(together: (site: string) => readonly string[]) {
  return (one: string, other: string): boolean => {
    if (one === other) return true;
    for (const [process, site] of [
      [one, other],
      [other, one],
    ] as const)
      if (process.startsWith('agents:') && site.includes(':'))
        if (together(siteOf(process)).includes(siteOf(site))) return true;
    return false;
  };
}

const againMs = 500;
const tries = 60;

/** Does again what fails because another fault has its part: the API server is down, a file is open. */
export async function again(
  { bed, signal }: Injection,
  what: () => Promise<unknown>,
): Promise<void> {
  for (let n = 1; ; n++)
    try {
      await what();
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (n === tries || error instanceof InvalidError) throw error;
      bed.history.note(machineMs(), `again, since it failed: ${describeError(error)}`);
      await systemClock.sleep(againMs, signal);
    }
}
