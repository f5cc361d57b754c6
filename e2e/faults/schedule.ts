/**
 * Which fault is done to what, when and for how long: drawn from the seed before anything starts.
 *
 * Guarantees: the same seed, faults and targets give the same schedule, whatever the machine does; nothing has
 * two faults at once; each round begins when the one before has healed.
 */
import type { Random } from '@cloudlet/runtime/base';

/** Milliseconds, both ends included. */
export type Span = readonly [least: number, most: number];

export interface ScheduledKind {
  readonly name: string;
  readonly weight: number;
  readonly holdMs: Span;
  /** What it can be done to. */
  readonly targets: readonly string[];
}

export interface Scheduled {
  /** From 1 on. */
  readonly number: number;
  readonly round: number;
  readonly name: string;
  readonly target: string;
  /** Since the beginning of its round. */
  readonly atMs: number;
  readonly holdMs: number;
}

export interface ScheduleOptions {
  readonly random: Random;
  readonly count: number;
  readonly perRound: number;
  readonly kinds: readonly ScheduledKind[];
  /** Whether two targets cannot have faults at the same time. */
  readonly collide: (one: string, other: string) => boolean;
  /** Between the beginnings of two faults. */
  readonly gapMs: Span;
}

export function scheduleOf(options: ScheduleOptions): readonly Scheduled[] {
  const { random, count, perRound, gapMs } = options;
  const schedule: Scheduled[] = [];
  let atMs = 0;
  if (options.kinds.length === 0) return schedule;
  for (let number = 1; number <= count; number++) {
    const round = Math.floor((number - 1) / perRound);
    if ((number - 1) % perRound === 0) atMs = 0;
    const kind = weighted(options.kinds, random);
    const target = pick(kind.targets, random);
    const holdMs = draw(kind.holdMs, () => random() ** mostlyShort);
    const others = schedule.filter(
      (one) => one.round === round && options.collide(one.target, target),
    );
    // What has a fault already gets the next one when that has healed.
    const free = Math.max(0, ...others.map((one) => one.atMs + one.holdMs + settleMs));
    schedule.push({
      ...{ number, round, name: kind.name, target, holdMs },
      atMs: Math.max(atMs, free),
    });
    atMs += draw(gapMs, random);
  }
  return schedule;
}

/** A third of the middle, so that many fit in an hour; one in seven is longer than three quarters. */
const mostlyShort = 2;

/** Between the end of a fault and the next of the same target, at least. */
const settleMs = 500;

export const draw = ([least, most]: Span, random: Random): number =>
  Math.round(least + (most - least) * random());

export function pick<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError('there is nothing to pick from');
  return item;
}

export function weighted<T extends { readonly weight: number }>(
  items: readonly T[],
  random: Random,
): T {
  const total = items.reduce((sum, { weight }) => sum + weight, 0);
  let left = random() * total;
  for (const item of items) {
    left -= item.weight;
    if (left < 0) return item;
  }
  return pick(items, random);
}
