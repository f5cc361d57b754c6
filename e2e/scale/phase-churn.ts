/** Phases of change: a steady stream of it, and a new object in the middle of a flood. */
import type { AppInst } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { systemClock } from '@cloudlet/runtime/base';
import type { ResourceClient } from '@cloudlet/runtime/kubernetes';
import { expect, until } from '../testbed/index.ts';
import { namespace, type ScaleBed } from './bed.ts';
import { type PhaseResult, spread } from './figures.ts';
import { machineMs, type WorkerEvent } from './hollow-messages.ts';
import { allReady } from './phase-grow.ts';
import { keyOf } from './watching.ts';

const changesPerSecond = 20;
const churnMs = 60_000;
/** Of twenty changes so many are tasks that are lost; the others are new specs. */
const lossEvery = 4;
/** Two changes of one instance lie so far apart that each is told from the other. */
const leastInstances = 200;
const quietMs = 10_000;

interface Told {
  readonly at: number;
  readonly placement: number;
  readonly restarts: number;
  readonly isDeployed: boolean;
}

/** What was seen of instances while they changed, by id. */
interface Seen {
  readonly planned: Map<string, { readonly at: number; readonly sequence: number }[]>;
  readonly changed: Map<string, number[]>;
  readonly told: Map<string, Told[]>;
}

/**
 * An open loop: every 50 ms a change of another instance, whether the ones before are through or not.
 * `applyToAgent` is from the call to the driver of the site, `statusToResource` from the platform's change to
 * the watch of the AppInst.
 */
export async function churn(bed: ScaleBed): Promise<PhaseResult> {
  const { hollow, options } = bed;
  const instances = bed.appInsts.cache.list().slice(0, 20_000);
  expect(instances.length >= leastInstances, `churn wants ${leastInstances} instances`);
  const { seen, stop } = await observe(bed);
  const client = bed.client.resource<AppInst>(resourceTypes.AppInst);
  const applied: { readonly id: string; readonly at: number }[] = [];
  const lost: { readonly id: string; readonly at: number }[] = [];
  const calls: Promise<unknown>[] = [];
  let refused = 0;
  const count = (call: Promise<unknown>): void => void calls.push(call.catch(() => void refused++)); // counted, and missing in the latencies
  const start = machineMs();
  let late = 0;
  for (let n = 0; n < (churnMs / 1_000) * changesPerSecond; n++) {
    const due = start + (n * 1_000) / changesPerSecond;
    const waitMs = due - machineMs();
    if (waitMs > 0) await systemClock.sleep(waitMs, options.signal);
    else late = Math.max(late, -waitMs);
    // A prime step, so that neighbours in time are not neighbours of a site.
    const instance = instances[(n * 7_919) % instances.length] as AppInst;
    const id = instance.metadata.uid ?? '';
    const site = instance.spec.cloudletRef?.name ?? '';
    const change = { id, at: machineMs() };
    if (n % lossEvery === lossEvery - 1) {
      lost.push(change);
      count(hollow.act(site, { kind: 'LoseTasks', id }));
    } else {
      applied.push(change);
      count(toggle(client, bed, instance));
    }
  }
  await Promise.all(calls);
  await systemClock.sleep(quietMs, options.signal);
  await stop();
  await allReady(bed, instances.map(keyOf));
  const notes = [`at most ${late.toFixed(0)} ms late; ${refused} calls failed`];
  return { ...latencies(bed, seen, applied, lost), notes };
}

function toggle(
  client: ResourceClient<AppInst>,
  bed: ScaleBed,
  { metadata }: AppInst,
): Promise<unknown> {
  const now = bed.appInsts.cache.get(`${namespace}/${metadata.name}`)?.spec.replicas ?? 1;
  return client.mergePatch(metadata.name, namespace, { spec: { replicas: now === 1 ? 2 : 1 } });
}

async function observe(bed: ScaleBed): Promise<{ seen: Seen; stop: () => Promise<void> }> {
  const { hollow, appInsts } = bed;
  const seen: Seen = { planned: new Map(), changed: new Map(), told: new Map() };
  const add = <T>(to: Map<string, T[]>, id: string, one: T): void => {
    const list = to.get(id);
    if (list) list.push(one);
    else to.set(id, [one]);
  };
  const stopListening = hollow.subscribe((event: WorkerEvent) => {
    if (event.kind === 'Planned') add(seen.planned, event.id, event);
    else if (event.kind === 'Changed') add(seen.changed, event.id, event.at);
  });
  const subscription = appInsts.informer.subscribe(({ type, object }) => {
    if (type === 'Deleted') return;
    const { site, instances = [], conditions = [] } = object.status ?? {};
    add(seen.told, object.metadata.uid ?? '', {
      at: machineMs(),
      placement: site?.placement ?? -1,
      restarts: Math.max(0, ...instances.map(({ restarts = 0 }) => restarts)),
      isDeployed: conditions.some(({ type: of, status }) => of === 'Deployed' && status === 'True'),
    });
  });
  await hollow.watch(true);
  return {
    seen,
    async stop() {
      await hollow.watch(false);
      stopListening();
      subscription.unsubscribe();
    },
  };
}

type Change = { readonly id: string; readonly at: number };

function latencies(
  bed: ScaleBed,
  seen: Seen,
  applied: readonly Change[],
  lost: readonly Change[],
): PhaseResult {
  const toAgent: number[] = [];
  const toResource: number[] = [];
  let missing = 0;
  for (const { id, at } of applied) {
    const plan = seen.planned.get(id)?.find((one) => one.at >= at);
    if (plan) toAgent.push(plan.at - at);
    else missing++;
    const told = seen.told
      .get(id)
      ?.find((one) => one.isDeployed && plan && one.placement >= plan.sequence);
    const change = told && seen.changed.get(id)?.findLast((one) => one <= told.at);
    if (told && change !== undefined) toResource.push(told.at - change);
    else missing++;
  }
  for (const { id, at } of lost) {
    const change = seen.changed.get(id)?.find((one) => one >= at);
    const before = seen.told.get(id)?.findLast((one) => change && one.at < change);
    const told = seen.told
      .get(id)
      ?.find((one) => change && one.at >= change && one.restarts > (before?.restarts ?? 0));
    if (told && change !== undefined) toResource.push(told.at - change);
    else missing++;
  }
  return {
    figures: {
      ...spread('applyToAgent', toAgent),
      ...spread(`statusToResource.${bed.options.sites}`, toResource),
      'churn.changes': applied.length + lost.length,
      'churn.missing': missing,
    },
  };
}

const probeEveryMs = 500;

/**
 * The operator starts while every instance waits to be rolled out anew; meanwhile somebody applies one more
 * each half second. Measured is how long those take; the flood lasts until all others are Ready again.
 */
export async function flood(bed: ScaleBed): Promise<PhaseResult> {
  const { region, options } = bed;
  const old = bed.appInsts.cache.list().map(keyOf);
  await Promise.all(region.operators.map((operator) => operator.stop()));
  await bed.appSpec({ ROUND: String(Math.round(machineMs())) });
  const revision = revisionsOf(bed);
  const [operator] = region.operators;
  await operator?.start();
  const start = machineMs();
  await until('the flood to begin', 60_000, () => {
    expect(newer(bed, revision) > 0, 'no instance has the new revision');
  });
  const applied = new Map<string, number>();
  const total = old.length;
  for (let n = 0; newer(bed, revision) < total * 0.98 && n < 1_000; n++) {
    for (const [key, at] of await bed.apply([`f-${n + 1}`])) applied.set(key, at);
    await systemClock.sleep(probeEveryMs, options.signal);
  }
  await allReady(bed, [...applied.keys()]);
  await until('the roll-out to end', 1_200_000, () => {
    expect(newer(bed, revision) >= total, `${newer(bed, revision)} of ${total} are rolled out`);
  });
  await allReady(bed, old);
  const floodSeconds = (machineMs() - start) / 1_000;
  await Promise.all(region.operators.map((each) => each.start()));
  const times = [...applied].map(([key, at]) => ((bed.ready.get(key) ?? NaN) - at) / 1_000);
  return {
    figures: { ...spread('newObject.duringFlood', times), 'flood.seconds': floodSeconds },
    notes: [`${applied.size} new AppInsts among ${total} that were rolled out`],
  };
}

/** Revision of each instance now. */
const revisionsOf = (bed: ScaleBed): ReadonlyMap<string, string | undefined> =>
  new Map(bed.appInsts.cache.list().map((one) => [keyOf(one), one.status?.rollout?.revision]));

/** Instances whose site runs another revision than before. */
function newer(bed: ScaleBed, before: ReadonlyMap<string, string | undefined>): number {
  let count = 0;
  for (const [key, revision] of before) {
    const now = bed.appInsts.cache.get(key)?.status?.site?.revision;
    if (now !== undefined && now !== revision) count++;
  }
  return count;
}
