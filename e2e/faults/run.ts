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
import { type FaultBed, openFaultBed } from './bed.ts';
import { collideIn, type Fault } from './fault.ts';
import { identityFaults } from './faults-identity.ts';
import { regionFaults } from './faults-region.ts';
import { siteFaults } from './faults-site.ts';
import { type Scheduled, scheduleOf, type Span } from './schedule.ts';
import { Wishes } from './wishes.ts';

export interface FaultRunOptions {
  readonly seed: number;
  readonly count: number;
  readonly perRound: number;
  readonly sites: number;
  readonly perProcess: number;
  readonly instances: number;
  /** Transitions a second. */
  readonly rate: number;
  /** Names of faults; all unless named. */
  readonly only?: readonly string[];
  /** Faults last so many times as long. @default 1 */
  readonly patience?: number;
  readonly gapMs?: Span;
  readonly dir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface FaultRunResult {
  /** Faults done, by name. */
  readonly faults: ReadonlyMap<string, number>;
  readonly asked: number;
  readonly carriedOut: number;
  /** Milliseconds from the last heal of a round until all agreed. */
  readonly settledMs: readonly number[];
}

export const allFaults: readonly Fault[] = [...regionFaults, ...siteFaults, ...identityFaults];

/** What was found, with the lines of the journal that lead to it. */
export class FaultsFound extends Error {
  override readonly name = 'FaultsFound';
}

const settleMs = 300_000;
const appCount = 4;

/** @throws FaultsFound with seed, fault and journal when something was lost, doubled or restarted. */
export async function runFaults(options: FaultRunOptions): Promise<FaultRunResult> {
  const { seed, count, perRound, progress, signal } = options;
  await using bed = await openFaultBed(options);
  const random = seededRandom(seed);
  const wishes = new Wishes({
    ...{ random: seededRandom(seed + 1), sites: bed.hollow.names },
    ...{ instances: options.instances, apps: appCount },
  });
  const asking = new Asking(bed, wishes, signal);
  await asking.prepare();
  const chosen = allFaults.filter(({ name }) => options.only?.includes(name) ?? true);
  const schedule = scheduleOf({
    ...{ random, count, perRound, gapMs: options.gapMs ?? [200, 2_500] },
    kinds: chosen
      .map((fault) => ({ ...fault, targets: fault.targets(bed) }))
      .filter(({ targets }) => targets.length > 0),
    collide: collideIn(bed.hollow.together),
  });
  const run: Run = { options, bed, wishes, asking, done: new Map(), last: 0 };
  const settledMs: number[] = [];
  for (let round = 0; round * perRound < count; round++) {
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
  const { asked } = asking;
  return { faults: run.done, asked, carriedOut: bed.history.carriedOut, settledMs };
}

interface Run {
  readonly options: FaultRunOptions;
  readonly bed: FaultBed;
  readonly wishes: Wishes;
  readonly asking: Asking;
  readonly done: Map<string, number>;
  /** Number of the last fault that was done. */
  last: number;
}

/** Asks for transitions while the faults of a round come and heal; then lets the API server take all. */
async function withFaults(run: Run, faults: readonly Scheduled[]): Promise<void> {
  const { asking, wishes, options } = run;
  const stop = new AbortController();
  const stopped = AbortSignal.any([stop.signal, options.signal]);
  const running = asking.run(options.rate, stopped);
  const start = machineMs();
  // Each target has one row, so that a fault that heals late does not meet the next one.
  const ends = await Promise.allSettled(faults.map((fault) => faultOf(run, fault, start)));
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
async function settle(run: Run): Promise<number> {
  const { bed, wishes, asking, options } = run;
  const { history, hollow } = bed;
  const start = machineMs();
  let problems: readonly Problem[] = [];
  const look = (): void => {
    history.read();
    problems = problemsOf({
      ...{ wanted: wishes.wanted, rounds: wishes.rounds, platforms: history.platforms },
      appInsts: bed.appInsts.cache.list(),
      ledgers: bed.ledgers.cache.list(),
      cloudlets: hollow.cloudlets.cache.list(),
    });
    expect(problems.length === 0, problems[0]?.text ?? '');
  };
  const { signal } = options;
  try {
    await asking.quiet();
    await until('all to agree', settleMs, look, { signal, intervalMs: 500 });
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
  }
  const violations = history.judge();
  if (problems.length === 0 && violations.length === 0) return machineMs() - start;
  throw found(run, problems, violations);
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
