/**
 * Whether something grew in a soak: a slope for each series after the warm-up, held against a bound.
 *
 * Guarantees: pure. A series fails when it grows faster than its bound for sure: when the low end of its
 * interval lies above. A series with too few points fails too: what was not watched is not known to be well.
 */
import { leastPoints, type Point, type Slope, slopeOf } from './slope.ts';

export interface Watched {
  /** Process, or the store. */
  readonly of: string;
  readonly figure: string;
  readonly points: readonly Point[];
}

/** Growth an hour that is let pass: the larger of a number and a share of the level. */
export interface Bound {
  readonly unit: string;
  readonly least: number;
  readonly share: number;
}

export const bounds: Readonly<Record<string, Bound>> = {
  heap: { unit: 'MiB', least: 2, share: 0.05 },
  // Pages of the allocator, code, stacks: it settles for hours where the heap has long settled.
  rss: { unit: 'MiB', least: 8, share: 0.08 },
  descriptors: { unit: '', least: 2, share: 0.05 },
  sockets: { unit: '', least: 2, share: 0.05 },
  timers: { unit: '', least: 2, share: 0.05 },
  handles: { unit: '', least: 2, share: 0.05 },
  used: { unit: 'MiB', least: 1, share: 0.1 },
  objects: { unit: '', least: 5, share: 0.05 },
};

export interface Verdict {
  readonly of: string;
  readonly figure: string;
  readonly unit: string;
  /** Growth an hour that is let pass. */
  readonly bound: number;
  /** Absent: too few points. */
  readonly slope?: Slope;
  readonly isWell: boolean;
}

/** @param warmUpSeconds what lies before is not looked at */
export function judge(watched: readonly Watched[], warmUpSeconds: number): readonly Verdict[] {
  return watched.flatMap(({ of, figure, points }) => {
    const bound = bounds[figure];
    if (!bound) return []; // drawn only
    const { unit, least, share } = bound;
    const later = points.filter(([seconds]) => seconds >= warmUpSeconds);
    if (later.length < leastPoints) return { of, figure, unit, bound: least, isWell: false };
    const slope = slopeOf(later);
    const most = Math.max(least, share * slope.level);
    return { of, figure, unit, bound: most, slope, isWell: slope.low <= most };
  });
}
