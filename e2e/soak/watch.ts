/**
 * Samples of several parts at a steady pace, as series; and what could not be sampled.
 *
 * Guarantees: a series is of one life: those of a process that was started again begin anew.
 */
import { describeError, systemClock } from '@cloudlet/runtime/base';
import type { Progress } from '../testbed/index.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import type { Sample } from './samples.ts';
import type { Point } from './slope.ts';
import type { Watched } from './verdict.ts';

export interface Part {
  readonly name: string;
  /** Id of its process. */
  readonly pid?: () => number | undefined;
  /** @throws when it cannot be sampled now */
  readonly sample: () => Promise<Sample>;
}

export interface Watch {
  series(): readonly Watched[];
  /** Samples that are missing, by part. */
  readonly missed: ReadonlyMap<string, number>;
  /** How often a part was started again, by part. */
  readonly restarts: ReadonlyMap<string, number>;
  /** Since the start. */
  seconds(): number;
  stop(): Promise<void>;
}

export function startWatch(
  parts: readonly Part[],
  everyMs: number,
  progress: Progress,
  signal: AbortSignal,
): Watch {
  const startMs = machineMs();
  const seconds = (): number => (machineMs() - startMs) / 1_000;
  const points = new Map<string, { of: string; figure: string; points: Point[] }>();
  const missed = new Map<string, number>();
  const restarts = new Map<string, number>();
  const lives = new Map<string, number | undefined>();
  const follow = ({ name, pid }: Part): void => {
    const now = pid?.();
    if (lives.has(name) && lives.get(name) !== now) {
      restarts.set(name, (restarts.get(name) ?? 0) + 1);
      for (const [key, { of }] of points) if (of === name) points.delete(key);
    }
    lives.set(name, now);
  };
  const look = async (part: Part): Promise<void> => {
    const { name, sample } = part;
    try {
      follow(part);
      const at = seconds();
      for (const [figure, value] of Object.entries(await sample())) {
        const key = `${name} ${figure}`;
        const series = points.get(key) ?? { of: name, figure, points: [] };
        points.set(key, series);
        series.points.push([at, value]);
      }
    } catch (error) {
      missed.set(name, (missed.get(name) ?? 0) + 1);
      progress(`${name} could not be sampled: ${describeError(error)}`);
    }
  };
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  const run = async (): Promise<void> => {
    for (let n = 1; !ended.aborted; n++) {
      // One after the other: collections at once would make each other wait.
      for (const part of parts) await look(part);
      const waitMs = startMs + n * everyMs - machineMs();
      await systemClock.sleep(Math.max(0, waitMs), ended).catch(() => undefined); // the loop sees the abort
    }
  };
  const running = run();
  return {
    series: () => [...points.values()],
    missed,
    restarts,
    seconds,
    async stop() {
      stop.abort(new Error('nobody watches any more'));
      await running;
    },
  };
}
