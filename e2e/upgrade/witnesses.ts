/**
 * Who watches while a region is exchanged: how long each site was away, whether the kinds were served, whether
 * changes arrived, and what the platforms did that nobody asked for.
 */
import { join } from 'node:path';
import type { AppInst, Cloudlet } from '@cloudlet/crds';
import { kinds } from '@cloudlet/crds';
import { instanceIdOf, resourceTypes } from '@cloudlet/operator';
import { describeError, systemClock } from '@cloudlet/runtime/base';
import { isReady, namespace } from '../scale/bed.ts';
import { conditionOf } from '../scale/conditions.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import { readPlatformJournal } from '../scale/platform-journal.ts';
import type { UpgradeBed } from './bed.ts';
import { createOutages, type Span } from './outages.ts';

/** When sites were away, as each witness saw it, by `machineMs`. */
export type Away = Readonly<
  Record<'link' | 'condition' | 'lease', ReadonlyMap<string, readonly Span[]>>
>;

/**
 * The agent's own link, the region's condition `Connected` and the holder of the site's Lease: a site is away
 * for as long as the strictest of them says.
 */
export function watchSites({ sites, leases }: UpgradeBed): () => Away {
  const link = createOutages();
  const condition = createOutages();
  const lease = createOutages();
  const names = new Set(sites.names);
  const told = (outages: typeof link, name: string, isUp: boolean): void => {
    if (names.has(name)) outages[isUp ? 'up' : 'down'](name, machineMs());
  };
  const unsubscribe = sites.subscribe(({ kind, site, at }) => {
    if (kind === 'Connected') link.up(site, at);
    if (kind === 'Disconnected') link.down(site, at);
  });
  const isConnected = (one: Cloudlet): boolean => conditionOf(one, 'Connected')?.status === 'True';
  const subscriptions = [
    sites.cloudlets.informer.subscribe(({ type, object }) =>
      told(condition, object.metadata.name, type !== 'Deleted' && isConnected(object)),
    ),
    leases.informer.subscribe(({ type, object }) => {
      const isHeld = type !== 'Deleted' && Boolean(object.spec?.holderIdentity);
      told(lease, object.metadata.name.replace(/^site-/, ''), isHeld);
    }),
  ];
  return () => {
    unsubscribe();
    for (const subscription of subscriptions) subscription.unsubscribe();
    return { link: link.spans(), condition: condition.spans(), lease: lease.spans() };
  };
}

/** Repeats something until the returned function is called. */
function again(work: (round: number) => Promise<unknown>, pauseMs: number): () => Promise<void> {
  const stop = new AbortController();
  const working = (async () => {
    for (let round = 0; !stop.signal.aborted; round++) {
      await work(round);
      await systemClock.sleep(pauseMs, stop.signal).catch(() => undefined); // asked to end
    }
  })();
  return async () => {
    stop.abort(new Error('watched long enough'));
    await working;
  };
}

/** `kubectl get` of one kind after the other. @returns what ends it, and gives its count and failures. */
export function askForKinds({ world }: UpgradeBed): () => Promise<{
  readonly asked: number;
  readonly failures: readonly string[];
}> {
  let asked = 0;
  const failures: string[] = [];
  const end = again(async (round) => {
    const { plural } = kinds[round % kinds.length] ?? { plural: 'cloudlets' };
    asked++;
    await world
      .kubectl('get', plural, '--all-namespaces', '-o', 'name')
      .catch((error: unknown) => void failures.push(`get ${plural}: ${describeError(error)}`));
  }, 300);
  return async () => {
    await end();
    return { asked, failures };
  };
}

export interface Change {
  readonly key: string;
  readonly generation: number;
  readonly at: number;
}

/** Changes one probe after the other. @returns what ends it, and gives the seconds from each change to Ready. */
export function makeChanges(bed: UpgradeBed): () => Promise<{
  readonly seconds: readonly number[];
  readonly failures: readonly string[];
}> {
  const { sites, appInsts, probes } = bed;
  const client = sites.client.resource<AppInst>(resourceTypes.AppInst);
  const changes: Change[] = [];
  const failures: string[] = [];
  /** When each generation was Ready, by key. */
  const ready = new Map<string, { readonly generation: number; readonly at: number }[]>();
  const subscription = appInsts.informer.subscribe(({ type, object }) => {
    if (type === 'Deleted' || !isReady(object)) return;
    const key = `${object.metadata.namespace}/${object.metadata.name}`;
    const generation = object.metadata.generation ?? 0;
    const list = ready.get(key) ?? [];
    ready.set(key, list);
    if (list.at(-1)?.generation !== generation) list.push({ generation, at: machineMs() });
  });
  const end = again(async (round) => {
    const name = probes[round % probes.length] ?? '';
    const key = `${namespace}/${name}`;
    const replicas = appInsts.cache.get(key)?.spec.replicas === 1 ? 2 : 1;
    const at = machineMs();
    try {
      const { metadata } = await client.mergePatch(name, namespace, { spec: { replicas } });
      changes.push({ key, generation: metadata.generation ?? 0, at });
    } catch (error) {
      failures.push(`change of ${name}: ${describeError(error)}`);
    }
  }, 1_000);
  return async () => {
    await end();
    for (const { key, generation } of changes)
      await appInsts
        .whenever(key, (one) => isReady(one) && (one.metadata.generation ?? 0) >= generation)
        .catch((error: unknown) => void failures.push(describeError(error)));
    subscription.unsubscribe();
    const seconds = changes.flatMap(({ key, generation, at }) => {
      const found = ready.get(key)?.find((one) => one.generation >= generation);
      return found ? [(found.at - at) / 1_000] : [];
    });
    return { seconds, failures };
  };
}

/** Reads on in the journals of the platforms: what was done there to instances that nobody changed. */
export function watchPlatforms({
  sites,
  journals,
  appInsts,
  probes,
}: UpgradeBed): () => readonly string[] {
  const fileOf = (name: string): string => join(journals, `${name}.jsonl`);
  const before = new Map(
    sites.names.map((name) => [name, readPlatformJournal(fileOf(name)).length] as const),
  );
  const changed = new Set(
    probes.flatMap((name) => {
      const probe = appInsts.cache.get(`${namespace}/${name}`);
      return probe ? [instanceIdOf(probe) ?? ''] : [];
    }),
  );
  return () =>
    sites.names.flatMap((name) =>
      readPlatformJournal(fileOf(name), before.get(name))
        .records.filter(({ id }) => !changed.has(id))
        .map(({ id, instance }) => `${id} at ${name} ${instance ? 'changed' : 'is gone'}`),
    );
}
