/** What the suite asks of a platform, and the small tools that its cases share. */
import { test } from 'node:test';
import { systemClock, type Clock } from '@cloudlet/runtime/base';
import type { Plan } from '@cloudlet/crds';
import type { Checkpoint, Driver, InstanceObservation, Observation } from '../driver.ts';

/** What not every platform can do. */
export type Capability =
  | 'exec'
  | 'logs'
  | 'crashing images'
  | 'volumes'
  | 'checkpoints'
  /** More than one replica of an image. */
  | 'replicas';

export interface Harness {
  readonly driver: Driver;
  readonly clock?: Clock;
  readonly images: {
    /** Runs until it is stopped, prints a line at start. */
    readonly good: string;
    /** Another that does the same. */
    readonly other: string;
    /** Cannot be pulled from anywhere. */
    readonly missing: string;
    /** Ends at once with code 1. */
    readonly crashing: string;
  };
  /** Arguments that `good` wants, if any. */
  readonly args?: readonly string[];
  /** Part of the plans of cases that open sessions, where these do not reach every node. */
  readonly inReach?: Partial<Plan>;
  /** Names of all that the platform holds of an instance, volumes included. */
  left(id: string): Promise<readonly string[]>;
  /** Identities of the containers that run for an instance: a restart changes them. */
  running(id: string): Promise<readonly string[]>;
  /** Longest that bringing something up may take, in milliseconds. */
  readonly patienceMs: number;
  close(): Promise<void>;
}

export interface Run {
  readonly makeHarness: () => Promise<Harness>;
  readonly capabilities: ReadonlySet<Capability>;
}

/** Registers one case, with a harness that is closed after it. */
export function conformanceCase(
  run: Run,
  title: string,
  body: (harness: Harness) => Promise<void>,
  needs?: Capability,
): void {
  const skip = needs && !run.capabilities.has(needs) ? `not covered: ${needs}` : false;
  test(title, { skip }, async () => {
    const harness = await run.makeHarness();
    try {
      await body(harness);
    } finally {
      await harness.close();
    }
  });
}

let made = 0;

/** A plan of the harness's good image with an id of its own. */
export function aPlan(harness: Harness, change: Partial<Plan> = {}): Plan {
  made++;
  const id = change.id ?? `c0${made.toString(36)}${process.pid.toString(36)}-conformance`;
  return {
    id,
    sequence: 1,
    object: { namespace: 'shop', name: 'conform', uid: id, generation: 1 },
    cloudlet: 'here',
    app: { name: 'conform', version: '1', revision: 'conform-1' },
    workload: { kind: 'Image', image: harness.images.good, ...argsOf(harness) },
    ...change,
  };
}

export function argsOf(harness: Harness): { args?: string[] } {
  return harness.args ? { args: [...harness.args] } : {};
}

export const never: AbortSignal = new AbortController().signal;

/** Calls `ensure` as the agent does, until it is done. */
export async function bringUp(harness: Harness, plan: Plan): Promise<readonly Checkpoint[]> {
  const clock = harness.clock ?? systemClock;
  const end = clock.monotonic() + harness.patienceMs;
  const checkpoints: Checkpoint[] = [];
  let checkpoint: Checkpoint | undefined;
  for (;;) {
    const result = await harness.driver.ensure(plan, checkpoint, never);
    if (result.kind === 'Done') return checkpoints;
    checkpoint = result.checkpoint;
    if (checkpoint) checkpoints.push(checkpoint);
    if (clock.monotonic() > end)
      throw new Error(`not up within ${harness.patienceMs} ms: ${result.progress.message ?? ''}`);
    await clock.sleep(result.againMs);
  }
}

/** Calls `remove` until it is done; `checkpoint` is what a job before left. */
export async function takeDown(
  harness: Harness,
  plan: Plan,
  deleteVolumes = true,
  checkpoint?: Checkpoint,
): Promise<void> {
  const clock = harness.clock ?? systemClock;
  const end = clock.monotonic() + harness.patienceMs;
  const removal = { id: plan.id, sequence: plan.sequence + 1, deleteVolumes };
  for (;;) {
    const result = await harness.driver.remove(removal, checkpoint, never);
    if (result.kind === 'Done') return;
    checkpoint = result.checkpoint;
    if (clock.monotonic() > end) throw new Error(`not gone within ${harness.patienceMs} ms`);
    await clock.sleep(result.againMs);
  }
}

/** Reads observations until one satisfies `isWanted`. */
export async function observeUntil(
  harness: Harness,
  isWanted: (observation: Observation) => boolean,
): Promise<Observation> {
  const clock = harness.clock ?? systemClock;
  const stop = new AbortController();
  const timer = clock.after(harness.patienceMs, () => stop.abort());
  try {
    for await (const observation of harness.driver.observe(stop.signal))
      if (isWanted(observation)) return observation;
  } finally {
    timer.cancel();
    stop.abort();
  }
  throw new Error(`not observed within ${harness.patienceMs} ms`);
}

/** What a fresh snapshot says of an instance. */
export async function look(harness: Harness, id: string): Promise<InstanceObservation | undefined> {
  const first = await observeUntil(harness, ({ kind }) => kind === 'Snapshot');
  return first.kind === 'Snapshot' ? first.instances.find((one) => one.id === id) : undefined;
}

/** What an observation says of an instance, in a snapshot or alone. */
export function instanceIn(observation: Observation, id: string): InstanceObservation | undefined {
  if (observation.kind === 'Snapshot') return observation.instances.find((one) => one.id === id);
  const isIt = observation.kind === 'Instance' && observation.instance.id === id;
  return isIt ? observation.instance : undefined;
}
