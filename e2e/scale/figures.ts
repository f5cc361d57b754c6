/** Figures of a phase: numbers by name, and how a list of numbers becomes some. */
import { percentile } from '../bench/swarm-bed.ts';

export type Figures = Readonly<Record<string, number>>;

export interface PhaseResult {
  readonly figures: Figures;
  readonly notes?: readonly string[];
}

/** `<name>.p50`, `.p90`, `.p99` and `.max`; none of an empty list. */
export function spread(name: string, values: readonly number[]): Figures {
  if (values.length === 0) return {};
  return {
    [`${name}.p50`]: percentile(values, 0.5),
    [`${name}.p90`]: percentile(values, 0.9),
    [`${name}.p99`]: percentile(values, 0.99),
    [`${name}.max`]: Math.max(...values),
  };
}

/** Sums of a metric by the values of some labels, joined by a space. */
export function metricBy(
  text: string,
  name: string,
  labels: readonly string[],
): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}{`)) continue;
    const values = labels.map(
      (label) => new RegExp(`[{,]${label}="([^"]*)"`).exec(line)?.[1] ?? '',
    );
    const key = values.filter((value) => value !== '').join(' ');
    sums.set(key, (sums.get(key) ?? 0) + Number(line.slice(line.lastIndexOf(' '))));
  }
  return sums;
}

/** The sum of a metric in Prometheus text, over the series whose labels hold all of `parts`. */
export function metricSum(text: string, name: string, parts: readonly string[] = []): number {
  let sum = 0;
  for (const line of text.split('\n')) {
    if (!line.startsWith(name)) continue;
    const rest = line.slice(name.length);
    if (rest[0] !== '{' && rest[0] !== ' ') continue;
    if (parts.every((part) => rest.includes(part)))
      sum += Number(line.slice(line.lastIndexOf(' ')));
  }
  return sum;
}
