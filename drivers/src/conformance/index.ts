/**
 * One suite for every driver: what the contract in `driver.ts` promises, tried against a real platform.
 *
 * `conformance` registers node:test cases. A driver brings a harness that knows its platform: images that
 * do and do not work, and what is left of an instance there. A capability that a driver lacks is skipped by
 * name, so that its run says what it did not cover.
 */
import { suite } from 'node:test';
import type { Capability, Harness } from './harness.ts';
import { lifecycleCases } from './lifecycle.ts';
import { observationCases } from './observation.ts';
import { sessionCases } from './sessions.ts';
import { interruptionCases } from './interruption.ts';

export type { Capability, Harness } from './harness.ts';

export interface ConformanceOptions {
  /** Name of the run, such as the platform's. */
  readonly name: string;
  readonly capabilities: readonly Capability[];
}

/** Registers the cases; each takes a harness of its own and closes it. */
export function conformance(
  makeHarness: () => Promise<Harness>,
  { name, capabilities }: ConformanceOptions,
): void {
  suite(`conformance of ${name}`, () => {
    const run = { makeHarness, capabilities: new Set(capabilities) };
    lifecycleCases(run);
    interruptionCases(run);
    observationCases(run);
    sessionCases(run);
  });
}
