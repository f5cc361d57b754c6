/**
 * A soak: the fault bed for hours, at a pace that a machine with other work bears, and what its processes hold
 * sampled all the while.
 *
 * Guarantees: what is sampled (the first operator, hub and process of hollow sites, the access server, the
 * agent on a phone) is never killed by a fault, so its samples are of one life; all else gets every fault of
 * `mildFaults`; after each round all must agree as in the fault bed. The bed's own process is not judged.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AppInst } from '@cloudlet/crds';
import { systemClock } from '@cloudlet/runtime/base';
import { type FaultBed, namespace, openFaultBed } from '../faults/bed.ts';
import type { Fault } from '../faults/fault.ts';
import { FaultsFound } from '../faults/found.ts';
import { beginRun, drawFaults, settle, withFaults } from '../faults/run.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import { isReady } from '../scale/bed.ts';
import { expect, type Phones, type Progress, type RegionProcess } from '../testbed/index.ts';
import { type PhoneSite, startPhoneSite } from './phone-site.ts';
import { type Sample, sampleHub, sampleProcess, sampleStore } from './samples.ts';
import { judge, type Verdict, type Watched } from './verdict.ts';
import { type Part, startWatch } from './watch.ts';

export interface SoakOptions {
  readonly hours: number;
  readonly sites: number;
  readonly instances: number;
  /** Transitions a second. */
  readonly rate: number;
  readonly seed: number;
  readonly everySeconds: number;
  readonly warmUpMinutes: number;
  readonly phones: Phones | undefined;
  /** Told after each round what there is so far. */
  readonly onRound: (result: SoakResult) => Promise<void>;
  readonly dir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface SoakResult {
  /** So far. */
  readonly hours: number;
  readonly warmUpSeconds: number;
  readonly verdicts: readonly Verdict[];
  readonly series: readonly Watched[];
  readonly faults: ReadonlyMap<string, number>;
  readonly marks: readonly { readonly name: string; readonly seconds: number }[];
  readonly asked: number;
  readonly carriedOut: number;
  readonly sessions: Sessions;
  readonly missed: ReadonlyMap<string, number>;
  /** How often a sampled part was started again: its series is of its last life. */
  readonly restarts: ReadonlyMap<string, number>;
  /** What was lost, doubled or restarted: the run ended with it. */
  readonly found?: string;
}

interface Sessions {
  opened: number;
  failed: number;
}

/** Those that cost little and let the sampled processes live: a leader without an API server ends itself. */
const mildFaults = [
  ...['link-silent', 'link-reset', 'link-drip', 'link-half-open', 'link-garbage', 'tasks-lost'],
  ...['engine-gone', 'engine-slow', 'quorum-lost', 'agent-ended', 'site-revoked', 'agents-killed'],
  ...['hub-killed', 'hub-ended', 'operator-killed'],
];
/** Targets of those that end a process. */
const sampled: ReadonlySet<string> = new Set(['operator-1', 'hub-1']);

const roundMs = 10 * 60_000;
const perRound = 20;
const gapMs = [15_000, 40_000] as const;
/** So that a fault heals in its round. */
const tailMs = 90_000;
const sessionMs = 10_000;
const phoneChangeMs = 120_000;
const hourMs = 3_600_000;

export async function runSoak(options: SoakOptions): Promise<SoakResult> {
  const { dir, signal, hours, phones, progress } = options;
  await using stack = new AsyncDisposableStack();
  const probes = join(dir, 'probes');
  await mkdir(probes, { recursive: true });
  const env = probeEnvironment(probes);
  const bed = stack.use(
    await openFaultBed({
      ...{ sites: options.sites, perProcess: Math.ceil(options.sites / 2), access: true },
      ...{ env, dir, progress, signal, ...(phones && { host: phones.hostIp }) },
      // Events are kept for an hour by default: a store that fills for so long tells of no leak.
      apiserverFlags: ['--event-ttl=5m'],
    }),
  );
  const phone =
    phones && stack.use(await startPhoneSite({ controlPlane: bed.controlPlane, phones, dir, env }));
  const run = await beginRun(bed, {
    ...{ seed: options.seed, instances: options.instances, rate: options.rate },
    ...{ perRound, count: Math.ceil((hours * hourMs) / roundMs) * perRound, gapMs },
    ...{ only: mildFaults, progress, signal },
  });
  const everyMs = options.everySeconds * 1_000;
  const watch = startWatch(partsOf(bed, phone, probes), everyMs, progress, signal);
  stack.defer(() => watch.stop());
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  const sessions: Sessions = { opened: 0, failed: 0 };
  const beside = Promise.all([
    readLogs(bed, sessions, ended),
    phone?.churn(phoneChangeMs, ended) ?? Promise.resolve(),
  ]);
  const schedule = drawFaults(run, (fault, target) => mayHit(bed, fault, target));
  const marks: { name: string; seconds: number }[] = [];
  const endMs = machineMs() + hours * hourMs;
  let found: string | undefined;
  const warmUpSeconds = options.warmUpMinutes * 60;
  const soFar = (): SoakResult => ({
    ...{ hours: watch.seconds() / 3_600, warmUpSeconds, marks, sessions },
    ...{ verdicts: judge(watch.series(), warmUpSeconds), series: watch.series() },
    ...{
      missed: watch.missed,
      restarts: watch.restarts,
      faults: run.done,
      asked: run.asking.asked,
    },
    ...{ carriedOut: bed.history.carriedOut, ...(found === undefined ? {} : { found }) },
  });
  for (let round = 0; machineMs() < endMs && found === undefined; round++) {
    const lengthMs = Math.min(roundMs, endMs - machineMs());
    const fits = ({ atMs }: { atMs: number }): boolean => atMs < lengthMs - tailMs;
    progress(`round ${round + 1}: ${((endMs - machineMs()) / 60_000).toFixed(0)} minutes are left`);
    marks.push({ name: `round ${round + 1}`, seconds: watch.seconds() });
    await withFaults(run, schedule.filter((one) => one.round === round).filter(fits), lengthMs);
    found = await foundBy(settle(run));
    progress(`round ${round + 1} ${found === undefined ? 'agreed' : 'did not agree'}`);
    await options.onRound(soFar());
  }
  over.abort(new Error('the soak is over'));
  await beside;
  if (found === undefined) await phone?.check();
  await watch.stop();
  return soFar();
}

/** What was lost, doubled or restarted; what was sampled until then is still worth a picture. */
async function foundBy(settled: Promise<unknown>): Promise<string | undefined> {
  try {
    await settled;
    return undefined;
  } catch (error) {
    if (error instanceof FaultsFound) return error.message;
    throw error;
  }
}

function probeEnvironment(probes: string): Readonly<Record<string, string>> {
  const probe = fileURLToPath(new URL('./probe.mjs', import.meta.url));
  return { NODE_OPTIONS: `--expose-gc --import ${probe}`, CLOUDLET_PROBES: probes };
}

/** The processes of the second half of the sites, and of all that is there twice, may end. */
function mayHit(bed: FaultBed, { name }: Fault, target: string): boolean {
  if (sampled.has(target)) return false;
  return name !== 'agents-killed' || target !== `agents:${bed.hollow.names[0]}`;
}

function partsOf(bed: FaultBed, phone: PhoneSite | undefined, probes: string): readonly Part[] {
  const { region, hollow, controlPlane } = bed;
  const part = (name: string, pid: () => number | undefined): Part => ({
    ...{ name, pid },
    sample: () => sampleProcess(pid() ?? -1, probes),
  });
  return [
    part('operator', () => region.operator.pid),
    {
      name: 'hub',
      pid: () => region.hubs[0]?.pid,
      sample: () => sampleHubOf(region.hubs[0], probes),
    },
    part('access', () => region.access?.pid),
    part('hollow sites', () => hollow.processes[0]?.pid),
    ...(phone ? [part('agent', () => phone.pid())] : []),
    { name: 'store', sample: () => sampleStore(controlPlane.etcdUrl) },
  ];
}

async function sampleHubOf(hub: RegionProcess | undefined, probes: string): Promise<Sample> {
  return sampleHub(hub?.pid ?? -1, probes, (await hub?.metrics()) ?? '');
}

const accessPath = `/apis/access.edge.cloudlet.dev/v1alpha1/namespaces/${namespace}/appinsts`;

/** Reads the logs of one instance after the other, through API server, access server, hub and agent. */
async function readLogs(bed: FaultBed, sessions: Sessions, end: AbortSignal): Promise<void> {
  for (let n = 0; !end.aborted; n++) {
    const ready = bed.appInsts.cache.list().filter(isRunning);
    const one = ready[n % Math.max(1, ready.length)];
    if (one)
      try {
        const path = `${accessPath}/${one.metadata.name}/log?tailLines=5`;
        const lines = await bed.client.request('GET', path, { timeoutMs: 15_000, signal: end });
        expect(String(lines).includes('\n'), 'an answer without a line');
        sessions.opened++;
      } catch {
        sessions.failed++; // its site, hub or API server may have a fault
      }
    await systemClock.sleep(sessionMs, end).catch(() => undefined); // the loop sees the abort
  }
}

const isRunning = (one: AppInst): boolean =>
  one.metadata.namespace === namespace && isReady(one) && one.spec.powerState !== 'Off';
