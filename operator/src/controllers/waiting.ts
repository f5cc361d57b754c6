/**
 * Whom the change of a site matters to: what is placed there, and what waits for a place that it may have now.
 *
 * Guarantees: what was refused is looked at again when a site that it may go to changes, or has room again;
 * one that runs elsewhere and wants to move waits like one that has no place. A site that goes or comes takes
 * many with it: they are told one after the other, after everything else.
 */
import {
  type AppInst,
  type Cloudlet,
  cloudletConditions,
  type CloudletLedger,
} from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import { type CacheEvent, type Controller, keyOf, priorities } from '@cloudlet/runtime/kubernetes';
import { instanceIdOf } from '../plan/render.ts';
import { refs, type Region } from '../region.ts';
import { conditionOf } from '../status.ts';

/** Milliseconds between two instances of a site that was lost or came back. */
const spreadMs = 5;

/** How long several changes of a ledger wait to be one for those that wait. */
const gatherMs = 1_000;

export function wireSites(region: Region, appInst: Controller): void {
  const tell = (told: readonly AppInst[], afterMs: number): void => {
    let order = 0;
    for (const key of new Set(told.map(keyOf)))
      appInst.enqueue(key, { priority: priorities.low, afterMs: afterMs + order++ * spreadMs });
  };
  region.informers.cloudlets.subscribe((event) => {
    if (!isSiteChange(event)) return;
    const { object } = event;
    const here = region.referrers(refs.site(object.metadata.name));
    tell([...here, ...waitingFor(region, object), ...drainingBeside(region, object)], 0);
  });
  region.informers.ledgers.subscribe((event) => {
    const site = region.informers.cloudlets.cache.get(event.object.metadata.name);
    const waiting = site ? waitingFor(region, site) : [];
    if (waiting.length > 0 && givesRoom(event)) tell(waiting, gatherMs);
  });
}

function isSiteChange(event: CacheEvent<Cloudlet>): boolean {
  // Every AppInst is looked at after a start anyway.
  if (event.type !== 'Deleted' && event.initial) return false;
  return event.type !== 'Updated' || siteMark(event.old) !== siteMark(event.object);
}

/** What may go to a site and has no place, or wants another than it has. */
function waitingFor(region: Region, { metadata, spec }: Cloudlet): readonly AppInst[] {
  const may = [
    refs.cloudlet(metadata.name),
    ...(spec.zoneRef ? [refs.zone(spec.zoneRef.name)] : []),
    ...region.informers.clusters.cache
      .byIndex('refs', refs.cloudlet(metadata.name))
      .map((cluster) => refs.cluster(cluster.metadata.namespace ?? '', cluster.metadata.name)),
  ];
  return may.flatMap((ref) => region.informers.appInsts.cache.byIndex('waiting', ref));
}

/** What stays at other sites of the zone only because nobody takes it. */
function drainingBeside(region: Region, { metadata, spec }: Cloudlet): readonly AppInst[] {
  if (!spec.zoneRef) return [];
  return region.informers.cloudlets.cache
    .byIndex('zone', spec.zoneRef.name)
    .filter((site) => site.spec.maintenance === 'Drain' && site.metadata.name !== metadata.name)
    .flatMap((site) => region.referrers(refs.site(site.metadata.name)));
}

/** What of a Cloudlet an AppInst depends on. */
function siteMark(cloudlet: Cloudlet): string {
  const { spec, status } = cloudlet;
  const connected = conditionOf(cloudlet, cloudletConditions.Connected);
  return contentHash({
    id: instanceIdOf(cloudlet),
    leaving: cloudlet.metadata.deletionTimestamp !== undefined,
    connected: [connected?.status, connected?.reason],
    platform: conditionOf(cloudlet, cloudletConditions.PlatformReady)?.status,
    placing: [spec.revoked, spec.maintenance, spec.zoneRef, spec.loadBalancer, spec.resourceQuotas],
    pinned: spec.dockerSwarm,
    site: [status?.site?.addresses, status?.site?.capacity, status?.site?.architectures],
  });
}

/** Whether something went, or takes another share than before. */
function givesRoom(event: CacheEvent<CloudletLedger>): boolean {
  if (event.type !== 'Updated') return false;
  const now = sharesOf(event.object);
  return [...sharesOf(event.old)].some(([id, share]) => now.get(id) !== share);
}

/** What each instance keeps from others, also while it is being removed. */
function sharesOf({ spec }: CloudletLedger): ReadonlyMap<string, string> {
  const entries = (spec.entries ?? []).map((entry) => {
    const { cluster, cpuMillis, memoryBytes, diskBytes, ports, releasing } = entry;
    const share = { cluster, cpuMillis, memoryBytes, diskBytes, ports, releasing };
    return [entry.id, contentHash(share)] as const;
  });
  const removals = (spec.tombstones ?? []).map(({ id }) => [id, 'removal'] as const);
  return new Map([...entries, ...removals]);
}
