/**
 * How fast something grows: the slope of Theil and Sen, the median over the slopes of all pairs of points.
 *
 * Guarantees: pure; up to 29% of the points may lie anywhere without moving it far, so that a burst, a
 * collection or a fault does not count as growth. The interval is Sen's, from the variance of Kendall's
 * statistic: with 95% confidence the slope lies in it, as far as the points do not hang together.
 */
export type Point = readonly [seconds: number, value: number];

export interface Slope {
  readonly perHour: number;
  /** Ends of the interval. */
  readonly low: number;
  readonly high: number;
  /** Median of the values. */
  readonly level: number;
  readonly points: number;
}

/** Two-sided 95% of the normal distribution. */
const confidence = 1.96;
const secondsPerHour = 3_600;
/** With fewer there is no interval to speak of. */
export const leastPoints = 8;

/** @throws RangeError for fewer than `leastPoints` points */
export function slopeOf(points: readonly Point[]): Slope {
  const count = points.length;
  if (count < leastPoints)
    throw new RangeError(`${count} samples are too few for a slope: ${leastPoints} are wanted`);
  const slopes = points
    .flatMap(([x, y], i) =>
      points
        .slice(i + 1)
        .filter(([otherX]) => otherX !== x)
        .map(([otherX, otherY]) => ((otherY - y) / (otherX - x)) * secondsPerHour),
    )
    .sort((a, b) => a - b);
  const spread = confidence * Math.sqrt((count * (count - 1) * (2 * count + 5)) / 18);
  const at = (index: number): number =>
    slopes[Math.min(slopes.length - 1, Math.max(0, index))] as number;
  return {
    perHour: median(slopes),
    low: at(Math.floor((slopes.length - spread) / 2)),
    high: at(Math.ceil((slopes.length + spread) / 2)),
    level: median(points.map(([, y]) => y).sort((a, b) => a - b)),
    points: count,
  };
}

function median(sorted: readonly number[]): number {
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = low] = [
    sorted[Math.ceil(middle) - 1],
    sorted[Math.floor(middle)],
  ];
  return (low + high) / 2;
}
