/**
 * Which change leads to which reconcile: all relations between kinds, in one place. Wires and decides nothing.
 */
import {
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  labels,
  type LedgerEntry,
} from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import {
  type CacheEvent,
  type Controller,
  type ControllerDependencies,
  createController,
  type EventRecorder,
  itself,
  keyOf,
  ownersOf,
} from '@cloudlet/runtime/kubernetes';
import { type Lease, resourceTypes } from '../kinds.ts';
import { joinSecretPrefix, siteLeasePrefix } from '../names.ts';
import { refs, type Region } from '../region.ts';
import { conditionOf } from '../status.ts';
import { createAppReconcile } from './app/reconcile.ts';
import { createAppInstReconcile } from './appinst/reconcile.ts';
import type { ChangeTracing } from './appinst/tracing.ts';
import { Vanished } from './appinst/vanished.ts';
import { createCloudletReconcile } from './cloudlet/reconcile.ts';
import { Liveness } from './cloudlet/liveness.ts';
import { collectKey, createCollectReconcile } from './collect.ts';
import { createClusterReconcile } from './cluster/reconcile.ts';
import { createFlavorReconcile } from './flavor/reconcile.ts';
import { identityKey, type RegionIdentity } from './identity/reconcile.ts';
import { createOrganizationReconcile, isOrganization } from './organization/reconcile.ts';
import { wireSites } from './waiting.ts';
import { createZoneReconcile } from './zone/reconcile.ts';

export interface WiringOptions extends ControllerDependencies {
  readonly region: Region;
  readonly identity: RegionIdentity;
  readonly events: Pick<EventRecorder, 'record'>;
  readonly addresses: { readonly hub: string; readonly enroll: string };
  /** Reconciles of AppInsts at once. */
  readonly workers: number;
  /** Where there is a collector. */
  readonly tracing?: ChangeTracing | undefined;
}

/** Every controller of the operator. */
export function createControllers(options: WiringOptions): readonly Controller[] {
  const { region, events } = options;
  const { logger } = region;
  const make = (
    name: string,
    workers: number,
    reconcile: Parameters<typeof createController>[0]['reconcile'],
  ): Controller => createController({ name, workers, reconcile, logger }, options);
  const vanished = new Vanished();
  const appInst = make(
    'appinst',
    options.workers,
    createAppInstReconcile({
      ...{ region, events, vanished, tracing: options.tracing },
      hashKey: () => options.identity.hashKey(),
    }),
  );
  const liveness = new Liveness({
    clock: region.clock,
    onMassLoss: (sites) => sites.forEach((site) => cloudlet.enqueue(site)),
  });
  const cloudlet: Controller = make(
    'cloudlet',
    8,
    createCloudletReconcile({
      region,
      liveness,
      events,
      authority: () => options.identity.authority(),
      addresses: options.addresses,
    }),
  );
  const controllers = {
    identity: make('identity', 1, (context) => options.identity.reconcile(context)),
    app: make('app', 4, createAppReconcile(region)),
    zone: make('zone', 2, createZoneReconcile(region)),
    flavor: make('flavor', 1, createFlavorReconcile(region, events)),
    cluster: make('cluster', 2, createClusterReconcile(region)),
    cloudlet,
    appInst,
    organization: make('organization', 1, createOrganizationReconcile(region)),
    collect: make('collect', 1, createCollectReconcile({ region })),
  };
  controllers.collect.enqueue(collectKey);
  wireIdentity(region, controllers.identity);
  wireCloudlet(region, cloudlet, liveness);
  wireAppInst(region, appInst, vanished);
  wireOthers(region, controllers);
  controllers.organization.watches(region.informers.namespaces, (object, event) =>
    event.type === 'Updated' && isOrganization(event.old) === isOrganization(object)
      ? []
      : itself(object),
  );
  return Object.values(controllers);
}

function wireIdentity({ informers }: Region, identity: Controller): void {
  identity.enqueue(identityKey);
  identity.watches(informers.system, ({ metadata }) =>
    metadata.name.endsWith('-tls') ? [identityKey] : [],
  );
}

function wireCloudlet({ informers }: Region, cloudlet: Controller, liveness: Liveness): void {
  cloudlet.watches(informers.cloudlets, itself);
  cloudlet.watches(informers.ledgers, itself);
  cloudlet.watches(informers.zones, ({ metadata }) =>
    informers.cloudlets.cache.byIndex('zone', metadata.name).map(keyOf),
  );
  cloudlet.watches(informers.requests, ({ metadata }) => [
    metadata.labels?.[labels.cloudlet] ?? '',
  ]);
  cloudlet.watches(informers.system, ({ metadata }) => named(metadata.name, joinSecretPrefix));
  cloudlet.watches(informers.appInsts, (object, event) =>
    isPlacementChange(event) && object.status?.placement ? [object.status.placement.cloudlet] : [],
  );
  cloudlet.watches(informers.clusters, ({ spec }) => [spec.cloudletRef.name]);
  // Before the controller hears of a Lease, its renewal is noted.
  informers.leases.subscribe((event) => liveness.observe(event.object, event.type === 'Deleted'));
  cloudlet.watches(informers.leases, ({ metadata }, event) =>
    named(metadata.name, siteLeasePrefix).filter(
      (site) => !isRenewalOnly(event) || !liveness.isConnected(site),
    ),
  );
}

const named = (name: string, prefix: string): readonly string[] =>
  name.startsWith(prefix) ? [name.slice(prefix.length)] : [];

/**
 * Renewals come every 30 s from every site; another holder or annotation is news, and the renewal of a Lease
 * that had run out: the hub that could not give it back may be the one that the agent finds again.
 */
function isRenewalOnly(event: CacheEvent<Lease>): boolean {
  if (event.type !== 'Updated') return false;
  const mark = ({ spec, metadata }: Lease): string =>
    contentHash([spec?.holderIdentity, metadata.annotations]);
  return mark(event.old) === mark(event.object);
}

function isPlacementChange(event: CacheEvent<AppInst>): boolean {
  if (event.type !== 'Updated') return true;
  return event.old.status?.placement?.cloudlet !== event.object.status?.placement?.cloudlet;
}

function wireAppInst(region: Region, appInst: Controller, vanished: Vanished): void {
  const { informers } = region;
  // Before the controller hears that an object went, it is noted how.
  informers.appInsts.subscribe((event) => vanished.observe(event));
  const referring = (ref: string): readonly string[] => region.referrers(ref).map(keyOf);
  appInst.watches(informers.appInsts, itself);
  appInst.watches(informers.apps, ({ metadata }, event) =>
    event.type === 'Updated' && event.old.metadata.generation === metadata.generation
      ? []
      : referring(refs.app(metadata.namespace ?? '', metadata.name)),
  );
  appInst.watches(informers.revisions, (revision) =>
    ownersOf(resourceTypes.App)(revision).flatMap((key) => {
      const [namespace = '', name = ''] = key.split('/');
      return referring(refs.app(namespace, name));
    }),
  );
  appInst.watches(informers.flavors, ({ metadata }, event) =>
    event.type === 'Updated' ? [] : flavorUsers(region, metadata.name),
  );
  appInst.watches(informers.zones, ({ metadata }, event) =>
    event.type === 'Updated' ? [] : referring(refs.zone(metadata.name)),
  );
  appInst.watches(informers.clusters, ({ metadata }, event) =>
    event.type === 'Updated' && event.old.metadata.generation === metadata.generation
      ? []
      : referring(refs.cluster(metadata.namespace ?? '', metadata.name)),
  );
  appInst.watches(informers.ledgers, (_, event) =>
    changedIds(event).flatMap((id) => referring(refs.id(id))),
  );
  appInst.watches(informers.cloudlets, (cloudlet, event) =>
    orphansOf(cloudlet)
      .filter((id) => event.type !== 'Updated' || !orphansOf(event.old).includes(id))
      .flatMap((id) => referring(refs.id(id))),
  );
  wireSites(region, appInst);
}

const orphansOf = ({ status }: Cloudlet): readonly string[] =>
  (status?.site?.orphans ?? []).map(({ id }) => id);

/** Users of a Flavor, by themselves or by their App. */
function flavorUsers(region: Region, flavor: string): readonly string[] {
  const byApp = region.informers.apps.cache
    .byIndex('refs', refs.flavor(flavor))
    .flatMap(({ metadata }) => region.referrers(refs.app(metadata.namespace ?? '', metadata.name)));
  return [...region.referrers(refs.flavor(flavor)), ...byApp].map(keyOf);
}

/** Instances whose entry or tombstone came, changed or went. */
function changedIds(event: CacheEvent<CloudletLedger>): readonly string[] {
  if (event.type === 'Deleted') return [];
  const marks = ({ spec }: Partial<CloudletLedger>): ReadonlyMap<string, string> =>
    new Map([
      ...(spec?.entries ?? []).map(
        (entry: LedgerEntry) => [entry.id, `e${entry.sequence}`] as const,
      ),
      ...(spec?.tombstones ?? []).map(
        (tombstone) => [tombstone.id, `t${tombstone.sequence}`] as const,
      ),
    ]);
  const before = marks(event.type === 'Updated' ? event.old : {});
  const after = marks(event.object);
  return [...new Set([...before.keys(), ...after.keys()])].filter(
    (id) => before.get(id) !== after.get(id),
  );
}

interface Others {
  readonly app: Controller;
  readonly zone: Controller;
  readonly flavor: Controller;
  readonly cluster: Controller;
}

function wireOthers({ informers }: Region, { app, zone, flavor, cluster }: Others): void {
  app.watches(informers.apps, itself);
  app.watches(informers.revisions, ownersOf(resourceTypes.App));
  app.watches(informers.flavors, ({ metadata }, event) =>
    event.type === 'Updated'
      ? []
      : informers.apps.cache.byIndex('refs', refs.flavor(metadata.name)).map(keyOf),
  );
  app.watches(informers.appInsts, ({ metadata, spec }, event) =>
    event.type === 'Updated' && !isRevisionChange(event.old, event.object)
      ? []
      : [`${metadata.namespace}/${spec.appRef.name}`],
  );
  zone.watches(informers.zones, itself);
  zone.watches(informers.cloudlets, ({ spec }, event) =>
    spec.zoneRef && !isSameReady(event) ? [spec.zoneRef.name] : [],
  );
  zone.watches(informers.appInsts, ({ spec }, event) =>
    spec.zoneRef && isReferenceChange(event) ? [spec.zoneRef.name] : [],
  );
  flavor.watches(informers.flavors, itself);
  flavor.watches(informers.apps, ({ spec }) =>
    spec.defaultFlavorRef ? [spec.defaultFlavorRef.name] : [],
  );
  flavor.watches(informers.appInsts, ({ spec }, event) =>
    spec.flavorRef && isReferenceChange(event) ? [spec.flavorRef.name] : [],
  );
  cluster.watches(informers.clusters, itself);
  cluster.watches(informers.cloudlets, ({ metadata }, event) =>
    isSameReady(event)
      ? []
      : informers.clusters.cache.byIndex('refs', refs.cloudlet(metadata.name)).map(keyOf),
  );
  cluster.watches(informers.appInsts, ({ metadata, spec }) =>
    spec.clusterRef
      ? [`${spec.clusterRef.namespace ?? metadata.namespace}/${spec.clusterRef.name}`]
      : [],
  );
}

const isRevisionChange = (old: AppInst, now: AppInst): boolean =>
  old.status?.rollout?.revision !== now.status?.rollout?.revision;

const isReferenceChange = (event: CacheEvent<AppInst>): boolean =>
  event.type !== 'Updated' || event.old.metadata.generation !== event.object.metadata.generation;

function isSameReady(event: CacheEvent<Cloudlet>): boolean {
  if (event.type !== 'Updated') return false;
  const [old, now] = [event.old, event.object].map((site) => conditionOf(site, 'Ready'));
  return (
    old?.status === now?.status && event.old.spec.zoneRef?.name === event.object.spec.zoneRef?.name
  );
}
