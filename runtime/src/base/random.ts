/** A source of random numbers that gives the same row for the same seed: for tests and simulations, not for secrets. */
import type { Random } from './retry.ts';

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    // An additive step and a mixing of its bits (splitmix32).
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}
