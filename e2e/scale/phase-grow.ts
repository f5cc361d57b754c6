/** Phases that fill the region: sites register and idle, instances come by the thousand and go. */
import { conditionOf } from './conditions.ts';
import type { AppInst } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { systemClock } from '@cloudlet/runtime/base';
import { expect, until } from '../testbed/index.ts';
import { namespace, type ScaleBed } from './bed.ts';
import { type PhaseResult, spread } from './figures.ts';
import { machineMs } from './hollow-messages.ts';
import { inParallel, keyOf } from './watching.ts';

const seconds = (ms: number): number => ms / 1_000;

/** All agents start at once; each enrols, connects and reports until its Cloudlet is Ready. */
export async function register(bed: ScaleBed): Promise<PhaseResult> {
  const { hollow, options } = bed;
  const connected = new Map<string, number>();
  const ready = new Map<string, number>();
  const stopListening = hollow.subscribe(({ kind, site, at }) => {
    if (kind === 'Connected' && !connected.has(site)) connected.set(site, at);
  });
  const subscription = hollow.cloudlets.informer.subscribe(({ type, object }) => {
    const { name } = object.metadata;
    if (type === 'Deleted' || ready.has(name)) return;
    if (conditionOf(object, 'Ready')?.status === 'True') ready.set(name, machineMs());
  });
  const start = machineMs();
  await hollow.start();
  await until(
    'every Cloudlet to be Ready',
    900_000,
    () => expect(ready.size >= options.sites, `${ready.size} of ${options.sites} are`),
    { signal: options.signal },
  );
  stopListening();
  subscription.unsubscribe();
  const since = (times: ReadonlyMap<string, number>) =>
    [...times.values()].map((at) => seconds(at - start));
  const how = options.enrol === 'joined' ? 'register' : 'connect';
  return {
    figures: {
      ...spread(`${how}.connected`, since(connected)),
      ...spread(`${how}.ready`, since(ready)),
    },
    notes: options.enrol === 'joined' ? [] : ['certificates were made before: no enrolment'],
  };
}

const settleMs = 20_000;
const idleMs = 60_000;

/** What connected sites cost that do nothing. */
export async function idle(bed: ScaleBed): Promise<PhaseResult> {
  const { sampler, options } = bed;
  await systemClock.sleep(settleMs, options.signal);
  const [before, calls] = await Promise.all([sampler.usage(), bed.apiServer()]);
  const start = machineMs();
  await systemClock.sleep(idleMs, options.signal);
  const spanSeconds = seconds(machineMs() - start);
  const [after, callsAfter] = await Promise.all([sampler.usage(), bed.apiServer()]);
  const cpu = (name: string): number =>
    (((after.get(name)?.cpuSeconds ?? 0) - (before.get(name)?.cpuSeconds ?? 0)) / spanSeconds) *
    100;
  const at = `${options.sites}agents${bed.ready.size > 0 ? `x${bed.ready.size}` : ''}`;
  return {
    figures: {
      [`hub.rss.${at}`]: after.get('hub-1')?.rssMib ?? Number.NaN,
      [`hub.idle.cpuPercent.${at}`]: cpu('hub-1'),
      [`operator.idle.cpuPercent.${at}`]: cpu('operator-1'),
      [`sites.rssPerAgent.${at}`]: (after.get('sites')?.rssMib ?? 0) / options.sites,
      [`apiserver.idle.requestsPerSecond.${at}`]:
        (callsAfter.requests - calls.requests) / spanSeconds,
    },
  };
}

/** Applies `count` AppInsts and waits until all are Ready. */
export async function grow(bed: ScaleBed, count: number, prefix: string): Promise<PhaseResult> {
  const names = Array.from({ length: count }, (_, i) => `${prefix}-${i + 1}`);
  const before = await bed.apiServer();
  const start = machineMs();
  const applied = await bed.apply(names);
  const allApplied = machineMs();
  await allReady(bed, [...applied.keys()]);
  const times = [...applied].map(([key, at]) => seconds((bed.ready.get(key) ?? Number.NaN) - at));
  const last = Math.max(...[...applied.keys()].map((key) => bed.ready.get(key) ?? Number.NaN));
  const after = await bed.apiServer();
  return {
    figures: {
      [`ready.${count}.appinsts`]: seconds(last - start),
      ...spread(`ready.${count}.each`, times),
      [`ready.${count}.requestsEach`]: (after.requests - before.requests) / count,
    },
    notes: [`all were applied after ${seconds(allApplied - start).toFixed(1)} s`],
  };
}

export async function allReady(bed: ScaleBed, keys: readonly string[]): Promise<void> {
  await until(
    `${keys.length} AppInsts to be Ready`,
    1_800_000,
    () => {
      const missing = keys.filter((key) => !bed.ready.has(key));
      const [first] = missing;
      const now = first && JSON.stringify(bed.appInsts.cache.get(first)?.status?.conditions);
      expect(missing.length === 0, `${missing.length} are not, such as ${first}: ${now}`);
    },
    { signal: bed.options.signal },
  );
}

/** Deletes every AppInst whose name starts with the prefix, and waits until they are gone. */
export async function shrink(bed: ScaleBed, prefix: string): Promise<PhaseResult> {
  const { client, appInsts, options } = bed;
  const own = (): readonly AppInst[] =>
    appInsts.cache.list().filter(({ metadata }) => metadata.name.startsWith(`${prefix}-`));
  const count = own().length;
  const start = machineMs();
  await inParallel(own(), 16, async ({ metadata }) =>
    client.resource(resourceTypes.AppInst).delete(metadata.name, namespace),
  );
  await until(
    'the AppInsts to be gone',
    600_000,
    () =>
      expect(
        own().length === 0,
        `${own().length} are there, such as ${own().slice(0, 1).map(keyOf).join()}`,
      ),
    { signal: options.signal },
  );
  return { figures: { [`removed.${count}.appinsts`]: seconds(machineMs() - start) } };
}

/** The region full: many instances at every site, and what that costs. */
export async function density(bed: ScaleBed, instances: number): Promise<PhaseResult> {
  const { options, sampler } = bed;
  const count = options.sites * instances;
  sampler.takePeaks();
  const grown = await grow(bed, count, 'd');
  const peaks = sampler.takePeaks();
  await systemClock.sleep(settleMs, options.signal);
  const [usage, { storeMib }] = await Promise.all([sampler.usage(), bed.apiServer()]);
  return {
    figures: {
      ...grown.figures,
      [`operator.rss.${count}`]: usage.get('operator-1')?.rssMib ?? Number.NaN,
      [`operator.rss.${count}.peak`]: peaks.get('operator-1') ?? Number.NaN,
      [`hub.rss.${options.sites}agentsx${count}`]: usage.get('hub-1')?.rssMib ?? Number.NaN,
      [`etcd.mib.${count}`]: storeMib,
      'cache.mib.per1000': await cacheOf(bed),
    },
    notes: grown.notes ?? [],
  };
}

async function cacheOf(bed: ScaleBed): Promise<number> {
  const { measureCache } = await import('./cache-size.ts');
  return measureCache(bed.controlPlane.kubeconfig);
}
