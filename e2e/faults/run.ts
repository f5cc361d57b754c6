/**
 * A run of the fault bed: rounds of faults while transitions are asked for; after each round all must be as it
 * was asked for, and nothing may have been done twice.
 */
import { describeError, seededRandom, systemClock } from '@cloudlet/runtime/base';
import { DeadlineError } from '@cloudlet/runtime/base';
import { machineMs } from '../scale/hollow-messages.ts';
import { expect, type Progress, until } from '../testbed/index.ts';
import { type Problem, problemsOf } from './agreement.ts';
import { Asking } from './asking.ts';
import { type FaultBed, type FaultBedOptions, namespace, openFaultBed } from './bed.ts';
import { collideIn, type Fault } from './fault.ts';
import { identityFaults } from './faults-identity.ts';
import { FaultsFound } from './found.ts';
import { regionFaults } from './faults-region.ts';
import { siteFaults } from './faults-site.ts';
import { askAgain, backUp, restore, restoreName } from './restore.ts';
import { type Scheduled, scheduleOf, type Span } from './schedule.ts';
import { Wishes } from './wishes.ts';

export interface RunOptions {
  readonly seed: number;
  readonly count: number;
  readonly perRound: number;
  readonly instances: number;
  /** Transitions a second. */
  readonly rate: number;
  /** Names of faults; all unless named. */
  readonly only?: readonly string[];
  /** Faults last so many times as long. @default 1 */
  readonly patience?: number;
  readonly gapMs?: Span;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export type FaultRunOptions = RunOptions & FaultBedOptions;

export interface FaultRunResult {
  /** Faults done, by name. */
  readonly faults: ReadonlyMap<string, number>;
  readonly asked: number;
  readonly carriedOut: number;
  /** Milliseconds from the last heal of a round until all agreed. */
  readonly settledMs: readonly number[];
}

export const allFaults: readonly Fault[] = [...regionFaults, ...siteFaults, ...identityFaults];

const settleMs = 300_000;
const tellMs = 30_000;
const appCount = 4;

/** @throws FaultsFound with seed, fault and journal when something was lost, doubled or restarted. */
export async function runFaults(options: FaultRunOptions): Promise<FaultRunResult> {
  const { seed, count, perRound, progress } = options;
  await using bed = await openFaultBed(options);
  const run = await beginRun(bed, options);
  const { asking } = run;
  const schedule = drawFaults(run, () => true);
  const rounds = schedule.length === 0 ? 0 : Math.ceil(count / perRound);
  const settledMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const faults = schedule.filter((one) => one.round === round);
    progress(
      `round ${round + 1}: faults ${faults[0]?.number} to ${faults.at(-1)?.number} of ${count}, seed ${seed}`,
    );
    await withFaults(run, faults);
    settledMs.push(await settle(run));
    progress(
      `round ${round + 1} agreed after ${((settledMs.at(-1) ?? 0) / 1_000).toFixed(1)} s: ` +
        `${asking.asked} transitions asked for, ${bed.history.carriedOut} plans carried out`,
    );
  }
  if (isChosen(options, restoreName)) settledMs.push(await withRestore(run));
  const { asked } = asking;
  return { faults: run.done, asked, carriedOut: bed.history.carriedOut, settledMs };
}

export interface Run {
  readonly options: RunOptions;
  readonly bed: FaultBed;
  readonly wishes: Wishes;
  readonly asking: Asking;
  readonly done: Map<string, number>;
  /** Number of the last fault that was done. */
  last: number;
  /** What a restored region does not know. */
  orphans: ReadonlySet<string>;
}

/** Makes what is asked for first; nothing is faulty yet. */
export async function beginRun(bed: FaultBed, options: RunOptions): Promise<Run> {
  const wishes = new Wishes({
    ...{ random: seededRandom(options.seed + 1), sites: bed.hollow.names },
    ...{ instances: options.instances, apps: appCount },
  });
  const asking = new Asking(bed, wishes, options.signal);
  await asking.prepare();
  return { options, bed, wishes, asking, done: new Map(), last: 0, orphans: new Set() };
}

const isChosen = ({ only }: RunOptions, name: string): boolean => only?.includes(name) ?? true;

/** Between backup and restore. */
const agingMs = 15_000;

/** The last fault of a run, since nobody else may touch the region meanwhile. @returns how long it took to settle */
async function withRestore(run: Run): Promise<number> {
  const backup = await backUp(run);
  await withFaults(run, [], agingMs);
  await settle(run);
  run.orphans = await restore(run, backup);
  run.done.set(restoreName, 1);
  askAgain(run);
  return settle(run);
}

/** The whole schedule of a run; `mayHit` says what a fault may be done to. */
export function drawFaults(
  { bed, options }: Run,
  mayHit: (fault: Fault, target: string) => boolean,
): readonly Scheduled[] {
  const { seed, count, perRound, gapMs = [100, 1_200] } = options;
  const chosen = allFaults.filter(({ name }) => isChosen(options, name));
  const targetsOf = (fault: Fault): readonly string[] =>
    fault.targets(bed).filter((target) => mayHit(fault, target));
  return scheduleOf({
    ...{ random: seededRandom(seed), count, perRound, gapMs },
    kinds: chosen
      .map((fault) => ({ ...fault, targets: targetsOf(fault) }))
      .filter(({ targets }) => targets.length > 0),
    collide: collideIn(bed.hollow.together),
  });
}

/**
 * Asks for transitions while the faults of a round come and heal, and for as long as told; then lets the API
 * server take all.
 */
export async function withFaults(
  run: Run,
  faults: readonly Scheduled[],
  leastMs = 0,
): Promise<void> {
  const { asking, wishes, options } = run;
  const stop = new AbortController();
  const stopped = AbortSignal.any([stop.signal, options.signal]);
  const running = asking.run(options.rate, stopped);
  const start = machineMs();
  // Each target has one row, so that a fault that heals late does not meet the next one.
  const ends = await Promise.allSettled([
    ...faults.map((fault) => faultOf(run, fault, start)),
    systemClock.sleep(leastMs, options.signal),
  ]);
  stop.abort(new Error('the round is over'));
  await running;
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason as Error;
  const undrain = wishes.undrain();
  if (undrain) asking.ask(undrain);
}

async function faultOf(run: Run, scheduled: Scheduled, start: number): Promise<void> {
  const { bed, options } = run;
  const { number, name, target, atMs, holdMs } = scheduled;
  const { signal, patience = 1 } = options;
  const fault = allFaults.find((one) => one.name === name);
  if (!fault) throw new RangeError(`there is no fault ${name}`);
  await systemClock.sleep(Math.max(0, start + atMs * patience - machineMs()), signal);
  await using _ = await run.bed.turn(target);
  const text = `fault ${number}, ${name} of ${target}`;
  bed.history.note(machineMs(), `${text} for ${(holdMs * patience) / 1_000} s`);
  options.progress(text);
  run.last = Math.max(run.last, number);
  run.done.set(name, (run.done.get(name) ?? 0) + 1);
  try {
    const random = seededRandom(options.seed + number);
    const heal = await fault.inject({ bed, target, random, signal });
    await systemClock.sleep(holdMs * patience, signal);
    await heal();
  } catch (cause) {
    throw new Error(`${text} could not be done: ${describeError(cause)}`, { cause });
  }
  bed.history.note(machineMs(), `${text} healed`);
}

/** Waits until all agree, and judges what was done on the way. @returns how long it took */
export async function settle(run: Run): Promise<number> {
  const { bed, wishes, asking, options } = run;
  const { history, hollow } = bed;
  const start = machineMs();
  let problems: readonly Problem[] = [];
  const isOurs = (site: string): boolean => hollow.setups.has(site);
  const look = (): void => {
    history.read();
    problems = problemsOf({
      ...{ wanted: wishes.wanted, rounds: wishes.rounds, platforms: history.platforms },
      orphans: run.orphans,
      appInsts: bed.appInsts.cache.list().filter((one) => one.metadata.namespace === namespace),
      ledgers: bed.ledgers.cache.list().filter((one) => isOurs(one.metadata.name)),
      cloudlets: hollow.cloudlets.cache.list(),
    });
    expect(problems.length === 0, problems[0]?.text ?? '');
  };
  const { signal } = options;
  // What takes long is told while it does: when it came right in the end nobody could say any more.
  const told = setInterval(() => {
    const [first] = problems;
    if (first) options.progress(`not agreed yet: ${problems.length}, such as ${first.text}`);
  }, tellMs);
  try {
    await quietWithin(asking, signal);
    await until('all to agree', settleMs, look, { signal, intervalMs: 500 });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    await Promise.resolve()
      .then(look)
      .catch(() => undefined); // it sets the problems
  } finally {
    clearInterval(told);
  }
  const violations = history.judge();
  if (problems.length === 0 && violations.length === 0) return machineMs() - start;
  throw found(run, problems, violations);
}

/** @throws DeadlineError while something that was asked for never comes through, such as a deletion */
async function quietWithin(asking: Asking, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const late = systemClock.sleep(settleMs, AbortSignal.any([signal, over.signal])).then(() => {
    throw new DeadlineError(`waited ${settleMs / 1_000} s for all that was asked for`);
  });
  try {
    await Promise.race([asking.quiet(), late]);
  } finally {
    over.abort(new Error('all is quiet'));
    await late.catch(() => undefined); // told by the race
  }
}

const shownProblems = 5;

function found(run: Run, problems: readonly Problem[], violations: readonly string[]): FaultsFound {
  const { bed, options, last } = run;
  const ids = [...bed.history.asked]
    .filter(([id]) => violations[0]?.includes(id))
    .flatMap(([id, { name }]) => [id, name]);
  const about = violations.length > 0 ? ids : (problems[0]?.about ?? []);
  return new FaultsFound(
    [
      `seed ${options.seed}, until fault ${last} of ${options.count}: ${violations.length} wrong deeds, ${problems.length} that do not agree`,
      ...violations.slice(0, shownProblems),
      ...problems.slice(0, shownProblems).map(({ text }) => text),
      'the last lines of the journal:',
      ...bed.history.lines(about),
    ].join('\n'),
  );
}
