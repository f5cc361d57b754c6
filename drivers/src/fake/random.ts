/** A small seeded generator (mulberry32), so that a scale test's timing can be repeated from its seed. */
import type { Random } from '@cloudlet/runtime/base';

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A span of milliseconds to draw from, both ends included. */
export type Span = readonly [least: number, most: number];

export function draw([least, most]: Span, random: Random): number {
  return Math.round(least + (most - least) * random());
}
