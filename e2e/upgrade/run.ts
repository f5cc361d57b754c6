/**
 * An upgrade from the version before, and back: what a thousand sites notice of it.
 *
 *   the version before; agents of it and newer ones
 *   -> `helm upgrade` to this one: CRDs and images
 *   -> the agent of the site of containers is replaced by this version's
 *   -> `helm rollback`
 *
 * Guarantees: each step is watched from before its first call until every pod of before is gone and every site
 * and instance is well; what was found is told as checks, each with what went wrong.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Cloudlet, kinds, namespaces } from '@cloudlet/crds';
import { describeError, systemClock } from '@cloudlet/runtime/base';
import type { KubernetesObject } from '@cloudlet/runtime/kubernetes';
import { chartArguments, regionReady, release } from '../kind/install.ts';
import { phonesAgent, site } from '../kind/stories/world.ts';
import { type Figures, spread } from '../scale/figures.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import { containersOf } from '../scenarios/swarm-world.ts';
import { expect, until } from '../testbed/index.ts';
import {
  allWell,
  openUpgradeBed,
  realApp,
  type UpgradeBed,
  type UpgradeBedOptions,
} from './bed.ts';
import { totalOf } from './outages.ts';
import { watchPods } from './pods.ts';
import { askForKinds, type Away, makeChanges, watchPlatforms, watchSites } from './witnesses.ts';

export interface Check {
  readonly name: string;
  /** Absent: it is so. */
  readonly problem?: string;
}

export interface UpgradeResult {
  readonly figures: Figures;
  readonly checks: readonly Check[];
}

/** What the project promises of each site, in seconds. */
const offlineAtMost = 30;
/** What comes late, such as a Lease that nobody renews, still counts. */
const lingerMs = 20_000;

export async function runUpgrade(options: UpgradeBedOptions): Promise<UpgradeResult> {
  const { previous, progress } = options;
  const bed = await openUpgradeBed(options);
  const { world } = bed;
  const helm = (...args: readonly string[]): Promise<string> =>
    world.bed.helm(args, { timeoutMs: 300_000 });
  const results: UpgradeResult[] = [];
  const step = async (name: string, change: () => Promise<unknown>): Promise<void> => {
    options.signal.throwIfAborted();
    progress(`${name} begins`);
    const result = await measured(bed, name, change);
    results.push(result);
    for (const [figure, value] of Object.entries(result.figures))
      progress(`${figure} ${value.toFixed(2)}`);
  };
  await step('upgrade', () => helm('upgrade', ...chartArguments(world.bed)));
  results.push(await replaceAgent(bed, options.cleanup));
  await step('rollback', () => helm('rollback', release, '1', '--namespace', namespaces.system));
  const figures: Figures = results.reduce<Figures>(
    (all, result) => ({ ...all, ...result.figures }),
    { 'upgrade.sites': options.sites },
  );
  const checks = results.flatMap((result) => result.checks);
  // The bed did not open otherwise.
  const first = { name: `agents newer than ${previous.commit.slice(0, 12)} work with its region` };
  return { figures, checks: [first, ...checks] };
}

/** What was seen of one exchange of the region. */
interface Seen {
  /** By `machineMs`. */
  readonly start: number;
  readonly end: number;
  readonly seconds: number;
  /** Why the region was not exchanged. */
  readonly failure: string | undefined;
  /** What was not well again at the end. */
  readonly unwell: string | undefined;
  readonly before: State;
  readonly after: State;
  readonly away: Away;
  readonly changes: Awaited<ReturnType<ReturnType<typeof makeChanges>>>;
  readonly asked: Awaited<ReturnType<ReturnType<typeof askForKinds>>>;
  readonly touched: readonly string[];
}

async function measured(
  bed: UpgradeBed,
  name: string,
  change: () => Promise<unknown>,
): Promise<UpgradeResult> {
  const seen = await watched(bed, change);
  const longest = bed.sites.names
    .map((site) => ({ site, seconds: Math.max(...Object.values(awayOf(seen, site))) }))
    .sort((a, b) => b.seconds - a.seconds);
  for (const { site, seconds } of longest.slice(0, 3))
    bed.progress(`${site} was away for ${seconds.toFixed(1)} s: ${spansOf(seen, site)}`);
  const seconds = longest.map((one) => one.seconds);
  return { figures: figuresOf(name, seen, seconds), checks: checksOf(name, seen, seconds) };
}

/** Seconds that a site was away, by witness. */
function awayOf({ away, end }: Seen, site: string): Figures {
  return Object.fromEntries(
    Object.entries(away).map(([witness, of]) => [
      witness,
      totalOf(of.get(site) ?? [], end) / 1_000,
    ]),
  );
}

/** When a site was away, in seconds since the first call. */
function spansOf({ away, start }: Seen, site: string): string {
  const shown = (at: number | undefined): string =>
    at === undefined ? 'the end' : ((at - start) / 1_000).toFixed(1);
  return Object.entries(away)
    .map(([witness, of]) => {
      const spans = (of.get(site) ?? []).map(({ from, to }) => `${shown(from)} to ${shown(to)}`);
      return `${witness} ${spans.join(', ') || 'never'}`;
    })
    .join('; ');
}

async function watched(bed: UpgradeBed, change: () => Promise<unknown>): Promise<Seen> {
  const before = await stateOf(bed);
  const ends = {
    away: watchSites(bed),
    kinds: askForKinds(bed),
    changes: makeChanges(bed),
    platforms: watchPlatforms(bed),
    pods: await watchPods(bed),
  };
  const start = machineMs();
  const failure = await problemOf(async () => {
    await change();
    await regionReady(bed.world.bed);
    await until('the pods of before to be gone', 180_000, async () => {
      const left = (await podsOf(bed)).filter(({ uid }) => before.pods.has(uid));
      expect(left.length === 0, left.map((pod) => pod.name).join(', '));
    });
  });
  const seconds = (machineMs() - start) / 1_000;
  await systemClock.sleep(lingerMs, bed.signal);
  const changes = await ends.changes();
  const unwell = await problemOf(() => allWell(bed));
  const asked = await ends.kinds();
  const [away, touched] = [ends.away(), ends.platforms()];
  for (const line of await ends.pods()) bed.progress(line);
  const end = machineMs();
  const after = await stateOf(bed);
  return { start, end, seconds, failure, unwell, before, after, away, changes, asked, touched };
}

/** @param longest seconds that each hollow site was away, as the strictest witness saw it. */
function figuresOf(name: string, seen: Seen, longest: readonly number[]): Figures {
  const { away, changes } = seen;
  const byWitness = Object.entries(away).map(([witness, of]) => [
    `${name}.siteOffline.by.${witness}.max.seconds`,
    Math.max(0, ...[...of.values()].map((spans) => totalOf(spans, seen.end))) / 1_000,
  ]);
  return {
    [`${name}.seconds`]: seen.seconds,
    ...secondsOf(`${name}.siteOffline`, longest),
    ...(Object.fromEntries(byWitness) as Figures),
    ...secondsOf(`${name}.changes`, changes.seconds),
    [`${name}.changes.count`]: changes.seconds.length,
    [`${name}.instancesTouched`]: seen.touched.length,
    [`${name}.kubectlGets`]: seen.asked.asked,
    [`${name}.crdsChanged`]: changedCrds(seen.before, seen.after),
  };
}

function checksOf(name: string, seen: Seen, longest: readonly number[]): readonly Check[] {
  const { before, after } = seen;
  const most = Math.max(...longest);
  const restarted = [...after.pods.values()].filter(({ restarts }) => restarts > 0);
  return [
    checked(`${name}: the region is exchanged`, seen.failure),
    checked(`${name}: every site and instance is well again`, seen.unwell),
    checked(
      `${name}: no site is offline for more than ${offlineAtMost} s`,
      most <= offlineAtMost ? undefined : `one was for ${most.toFixed(1)} s`,
    ),
    none(`${name}: nothing is done to an instance that nobody changed`, seen.touched),
    none(`${name}: no container of a real site is replaced`, goneFrom(before, after)),
    none(
      `${name}: no process of the region is restarted`,
      restarted.map((pod) => `${pod.name} ${pod.restarts} times`),
    ),
    none(`${name}: kubectl get of every kind works all the time`, seen.asked.failures),
    none(`${name}: every change that is made meanwhile arrives`, seen.changes.failures),
    none(`${name}: stored objects are what they were`, differencesOf(before, after)),
  ];
}

const secondsOf = (name: string, values: readonly number[]): Figures =>
  Object.fromEntries(
    Object.entries(spread(name, values)).map(([key, value]) => [`${key}.seconds`, value]),
  );

const checked = (name: string, problem: string | undefined): Check =>
  problem === undefined ? { name } : { name, problem };

const none = (name: string, problems: readonly string[]): Check =>
  checked(
    name,
    problems.length === 0 ? undefined : `${problems.length}: ${problems.slice(0, 5).join('; ')}`,
  );

async function problemOf(work: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}

interface Pod {
  readonly name: string;
  readonly uid: string;
  readonly restarts: number;
}

interface State {
  readonly pods: ReadonlyMap<string, Pod>;
  readonly containers: readonly string[];
  /** Uid and spec of what nobody changes, by kind and name. */
  readonly objects: ReadonlyMap<string, { readonly uid: string; readonly spec: unknown }>;
  /** Generation of each CRD. */
  readonly crds: ReadonlyMap<string, number>;
}

async function stateOf(bed: UpgradeBed): Promise<State> {
  const pods = new Map((await podsOf(bed)).map((pod) => [pod.uid, pod]));
  return {
    ...{ pods, containers: await realContainers(bed) },
    ...{ objects: await objectsOf(bed), crds: await crdsOf(bed) },
  };
}

async function podsOf({ world }: UpgradeBed): Promise<readonly Pod[]> {
  const selector = ['-l', 'app.kubernetes.io/part-of=cloudlet-operator'];
  const { items } = await world.get<{
    items: {
      metadata: { name: string; uid: string };
      status: { containerStatuses?: { restartCount: number }[] };
    }[];
  }>('pods', '-n', namespaces.system, ...selector);
  return items.map(({ metadata, status }) => ({
    ...{ name: metadata.name, uid: metadata.uid },
    restarts: (status.containerStatuses ?? []).reduce((sum, one) => sum + one.restartCount, 0),
  }));
}

async function realContainers({ world }: UpgradeBed): Promise<readonly string[]> {
  const { status } = await world.appInstReady(realApp);
  expect(status?.site?.name, `${realApp} is at no site`);
  return containersOf(world.bed.phones.phones, status.site.name);
}

const goneFrom = (before: State, after: State): readonly string[] =>
  before.containers.filter((id) => !after.containers.includes(id));

/** All objects of all kinds but the probes and the ledgers that book them. */
async function objectsOf({ world, probes }: UpgradeBed): Promise<State['objects']> {
  const changing = new Set(
    probes.flatMap((name) => [
      `AppInst default/${name}`,
      `CloudletLedger /${name.replace(/^probe-/, '')}`,
    ]),
  );
  const objects = new Map<string, { uid: string; spec: unknown }>();
  for (const { plural, kind } of kinds) {
    const { items } = await world.get<{ items: (KubernetesObject & { spec?: unknown })[] }>(
      plural,
      '--all-namespaces',
    );
    for (const { metadata, spec } of items) {
      const key = `${kind} ${metadata.namespace ?? ''}/${metadata.name}`;
      if (!changing.has(key)) objects.set(key, { uid: metadata.uid ?? '', spec });
    }
  }
  return objects;
}

function differencesOf(before: State, after: State): readonly string[] {
  return [...before.objects].flatMap(([key, was]) => {
    const is = after.objects.get(key);
    if (!is) return [`${key} is gone`];
    return isDeepStrictEqual(is, was) ? [] : [`${key} differs`];
  });
}

async function crdsOf({ world }: UpgradeBed): Promise<State['crds']> {
  const { items } = await world.get<{
    items: { metadata: { name: string; generation: number } }[];
  }>('crds');
  return new Map(items.map(({ metadata }) => [metadata.name, metadata.generation]));
}

const changedCrds = (before: State, after: State): number =>
  [...after.crds].filter(([name, generation]) => before.crds.get(name) !== generation).length;

/** The agent of the real site gives way to this version's, on the same state folder. */
async function replaceAgent(
  bed: UpgradeBed,
  cleanup: AsyncDisposableStack,
): Promise<UpgradeResult> {
  const { world, agent, progress, signal } = bed;
  const bootOf = async (): Promise<string | undefined> =>
    (await world.get<Cloudlet>('cloudlet', site)).status?.site?.boot;
  const problem = await problemOf(async () => {
    await world.kubectl('patch', 'appinst', realApp, '--type=merge', '-p', twoReplicas);
    const [first] = await realContainers(bed);
    const both = await until('a second container', 60_000, async () => {
      const now = await realContainers(bed);
      expect(now.length === 2, `${now.length} run`);
      return now;
    });
    expect(first && both.includes(first), 'the first container was replaced');
    progress('the older agent works with the new region; it gives way to the new one');
    const boot = await bootOf();
    await agent.stop();
    const next = await phonesAgent(world, bed.join);
    cleanup.defer(() => next.stop());
    await next.start();
    await until('its first report', 90_000, async () => expect((await bootOf()) !== boot, 'none'));
    await world.cloudletReady(site);
    await systemClock.sleep(lingerMs, signal);
    const now = await realContainers(bed);
    expect(isDeepStrictEqual(now, both), `containers were ${both.join()} and are ${now.join()}`);
  });
  const name = 'an older agent works with the newer region, and its successor touches nothing';
  return { figures: {}, checks: [checked(name, problem)] };
}

const twoReplicas = JSON.stringify({ spec: { replicas: 2 } });
