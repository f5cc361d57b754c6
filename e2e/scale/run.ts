/** A run of the scale bed: the chosen phases in their order, what each showed and what it cost. */
import { describeError } from '@cloudlet/runtime/base';
import { metricSum, type PhaseResult } from './figures.ts';
import { openBed, type BedOptions, type ScaleBed } from './bed.ts';
import { certificates, restart, upgrade } from './phase-change.ts';
import { churn, flood } from './phase-churn.ts';
import { cutHalf, hubKill, leader } from './phase-faults.ts';
import { density, grow, idle, register, shrink } from './phase-grow.ts';
import { machineMs } from './hollow-messages.ts';

export interface RunOptions extends BedOptions {
  /** At each site. */
  readonly instances: number;
  /** In any order; all unless named. */
  readonly phases: readonly PhaseName[];
  /** Runs beside the region before the sites come. */
  readonly before?: (bed: ScaleBed) => Promise<PhaseResult>;
}

/** In the order in which they run. */
export const phaseNames = [
  'register',
  'idle',
  'ready',
  'density',
  'churn',
  'leader',
  'flood',
  'hub-kill',
  'cut',
  'certificates',
  'upgrade',
  'restart',
] as const;
export type PhaseName = (typeof phaseNames)[number];

/** What fills the region must have run before what changes it. */
const needsInstances: readonly PhaseName[] = ['churn', 'flood', 'restart'];

export interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
  readonly failure?: string;
  readonly cost: Cost;
}

export interface Cost {
  /** Processor seconds and highest memory, by process. */
  readonly processes: ReadonlyMap<
    string,
    { readonly cpuSeconds: number; readonly peakMib: number }
  >;
  /** Calls that the API server answered; of them by operators and hubs. */
  readonly requests: number;
  /** The most frequent by verb and resource. */
  readonly calls: readonly (readonly [call: string, count: number])[];
  readonly operatorRequests: number;
  readonly hubRequests: number;
  readonly storeMib: number;
}

export interface RunResult {
  readonly phases: readonly Phase[];
  readonly figures: Readonly<Record<string, number>>;
  readonly bed: ScaleBed;
}

/** Runs the phases; `finish` gets the result while the bed still stands. */
export async function runScale(
  options: RunOptions,
  finish: (result: RunResult) => Promise<void>,
): Promise<void> {
  const { signal, progress, instances, sites } = options;
  const isChosen = (name: PhaseName): boolean => options.phases.includes(name);
  await using bed = await openBed({
    ...options,
    enrol: isChosen('register') ? options.enrol : 'minted',
  });
  const phases: Phase[] = [];
  const run = async (name: string, work: () => Promise<PhaseResult>): Promise<void> => {
    signal.throwIfAborted();
    progress(`phase ${name}`);
    const phase = await measured(bed, name, work);
    signal.throwIfAborted();
    phases.push(phase);
    progress(`phase ${name} took ${phase.seconds.toFixed(1)} s${phase.failure ? ': FAILED' : ''}`);
    if (phase.failure) progress(phase.failure);
    for (const note of phase.notes) progress(`${name}: ${note}`);
  };
  const { before } = options;
  if (before) await run('peer', () => before(bed));
  await run('register', () => register(bed));
  if (isChosen('idle')) await run('idle', () => idle(bed));
  if (isChosen('ready')) {
    await run('ready', () => grow(bed, sites, 'r'));
    await run('removal', () => shrink(bed, 'r'));
  }
  if (isChosen('density') || needsInstances.some(isChosen))
    await run('density', () => density(bed, instances));
  if (isChosen('churn')) await run('churn', () => churn(bed));
  if (isChosen('leader')) await run('leader', () => leader(bed));
  if (isChosen('flood')) await run('flood', () => flood(bed));
  if (isChosen('hub-kill')) await run('hub-kill', () => hubKill(bed));
  if (isChosen('cut')) await run('cut', () => cutHalf(bed));
  if (isChosen('certificates')) await run('certificates', () => certificates(bed));
  if (isChosen('upgrade')) await run('upgrade', () => upgrade(bed));
  if (isChosen('restart')) await run('restart', () => restart(bed));
  const figures = Object.assign(
    {},
    ...phases.map((phase) => phase.figures),
  ) as RunResult['figures'];
  await finish({ phases, figures, bed });
}

async function measured(
  bed: ScaleBed,
  name: string,
  work: () => Promise<PhaseResult>,
): Promise<Phase> {
  bed.sampler.mark(name);
  bed.sampler.takePeaks();
  const before = await snapshotOf(bed);
  const start = machineMs();
  let result: PhaseResult = { figures: {} };
  let failure: string | undefined;
  try {
    result = await work();
  } catch (error) {
    failure = describeError(error);
  }
  const seconds = (machineMs() - start) / 1_000;
  const after = await snapshotOf(bed);
  const peaks = bed.sampler.takePeaks();
  const processes = new Map(
    [...after.usage].map(([process, { cpuSeconds }]) => [
      process,
      {
        cpuSeconds: cpuSeconds - (before.usage.get(process)?.cpuSeconds ?? 0),
        peakMib: peaks.get(process) ?? 0,
      },
    ]),
  );
  const grown = (of: 'requests' | 'operatorRequests' | 'hubRequests'): number =>
    Math.max(0, after[of] - before[of]); // a process that was started again counts from nothing
  const cost = {
    ...{ processes, requests: grown('requests'), storeMib: after.storeMib },
    calls: mostOf(before.calls, after.calls),
    ...{ operatorRequests: grown('operatorRequests'), hubRequests: grown('hubRequests') },
  };
  const { figures, notes = [] } = result;
  return { name, seconds, figures, notes, cost, ...(failure === undefined ? {} : { failure }) };
}

const shownCalls = 12;

function mostOf(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): readonly (readonly [string, number])[] {
  return [...after]
    .map(([call, count]) => [call, count - (before.get(call) ?? 0)] as const)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, shownCalls);
}

async function snapshotOf(bed: ScaleBed) {
  const callsOf = async (parts: ScaleBed['region']['hubs']): Promise<number> => {
    const texts = await Promise.all(parts.map((part) => part.metrics().catch(() => '')));
    return texts.reduce((sum, text) => sum + metricSum(text, 'rest_client_requests_total'), 0);
  };
  const none = { requests: 0, calls: new Map<string, number>(), storeMib: 0 };
  const [usage, apiServer, operatorRequests, hubRequests] = await Promise.all([
    bed.sampler.usage(),
    bed.apiServer().catch(() => none),
    callsOf(bed.region.operators),
    callsOf(bed.region.hubs),
  ]);
  return { usage, ...apiServer, operatorRequests, hubRequests };
}
