/**
 * The hub's read-only view of the region: one informer a kind for all sites, with the indexes that lead
 * from a changed object to the sites and instances that it matters to.
 *
 * Guarantees: answers come from memory; `onTouched` is told of every (site, instance id) whose order may
 * have changed, and of every Cloudlet that changed. Caches of several kinds are not of one moment: the
 * orders made of them are held back until they agree (`orders.ts`).
 */
import {
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  labels,
  namespaces,
} from '@cloudlet/crds';
import type { Logger } from '@cloudlet/runtime/base';
import {
  type CacheEvent,
  createInformer,
  type KubernetesClient,
  type KubernetesObject,
  type ObservableInformer,
} from '@cloudlet/runtime/kubernetes';
import { createFreshest, type Freshest } from '../freshest.ts';
import {
  type ControllerRevision,
  controllerRevisionType,
  type Lease,
  leaseType,
  resourceTypes,
  type SecretObject,
  secretType,
} from '../kinds.ts';
import { leaseAnnotations, siteLeaseName } from '../names.ts';
import { takenOffRecord } from './lease-record.ts';
import { instanceIdOf } from '../plan/render.ts';
import { changedIds, type InstanceView, ledgerIndex } from './orders.ts';

export interface RegionEvents {
  /** The order of this instance at this site may have changed. */
  touched(site: string, id: string): void;
  /** A Cloudlet changed or went; `undefined` when it went. */
  cloudletChanged(name: string, cloudlet: Cloudlet | undefined): void;
  appInstGone(uid: string): void;
}

export interface Region {
  cloudlet(name: string): Cloudlet | undefined;
  ledger(site: string): CloudletLedger | undefined;
  /** Leases of the system namespace, with this replica's own writes. */
  readonly leases: Freshest<Lease>;
  siteLease(site: string): Lease | undefined;
  /** The AppInst that the site's ledger means by `id`, else any of that id. */
  appInst(id: string, site?: string): AppInst | undefined;
  instance(site: string, id: string): InstanceView;
  /** Ids that the region knows at the site: placed or to be removed. */
  idsOf(site: string): readonly string[];
  subscribe(events: RegionEvents): void;
  run(signal: AbortSignal): Promise<void>;
  synced(signal?: AbortSignal): Promise<void>;
  readonly hasSynced: boolean;
  /** Of each kind: whether its first list is in, and its last sign of life. */
  readonly informers: readonly ObservableInformer<KubernetesObject>[];
}

export function createRegion(client: KubernetesClient, logger: Logger): Region {
  const caches = createCaches(client, logger);
  const informers = Object.values(
    caches,
  ) as unknown as readonly ObservableInformer<KubernetesObject>[];
  const leases = createFreshest(caches.leases);
  const appInst = (id: string, site?: string): AppInst | undefined => {
    const found = caches.appInsts.cache.byIndex('id', id);
    if (found.length < 2 || site === undefined) return found[0];
    const entry = ledgerIndex(caches.ledgers.cache.get(site)).entries.get(id);
    return (
      found.find(
        ({ metadata }) => metadata.namespace === entry?.namespace && metadata.name === entry?.name,
      ) ?? found[0]
    );
  };
  return {
    informers,
    appInst,
    cloudlet: (name) => caches.cloudlets.cache.get(name),
    ledger: (site) => caches.ledgers.cache.get(site),
    leases,
    siteLease: (site) => leases.get(`${namespaces.system}/${siteLeaseName(site)}`),
    instance(site, id) {
      const { entries, tombstones } = ledgerIndex(caches.ledgers.cache.get(site));
      const object = appInst(id, site);
      const keys = object && inputKeys(object);
      return {
        site,
        entry: entries.get(id),
        tombstone: tombstones.get(id),
        appInst: object,
        revision: keys?.revision ? caches.revisions.cache.get(keys.revision) : undefined,
        secret: keys?.secret ? caches.secrets.cache.get(keys.secret) : undefined,
      };
    },
    idsOf(site) {
      const { entries, tombstones } = ledgerIndex(caches.ledgers.cache.get(site));
      return [...new Set([...entries.keys(), ...tombstones.keys()])];
    },
    subscribe: (events) => subscribe(caches, events),
    get hasSynced() {
      return informers.every((informer) => informer.hasSynced);
    },
    async run(signal) {
      await Promise.all(informers.map((informer) => informer.run(signal)));
    },
    async synced(signal) {
      await Promise.all(informers.map((informer) => informer.synced(signal)));
    },
  };
}

type Caches = ReturnType<typeof createCaches>;

function createCaches(client: KubernetesClient, logger: Logger) {
  return {
    cloudlets: createInformer<Cloudlet>(client, resourceTypes.Cloudlet, { logger }),
    ledgers: createInformer<CloudletLedger>(client, resourceTypes.CloudletLedger, { logger }),
    appInsts: createInformer<AppInst>(client, resourceTypes.AppInst, {
      logger,
      indexes: {
        id: (object) => present(instanceIdOf(object)),
        revision: (object) => present(inputKeys(object).revision),
        secret: (object) => present(inputKeys(object).secret),
      },
    }),
    revisions: createInformer<ControllerRevision>(client, controllerRevisionType, {
      logger,
      labelSelector: labels.app,
    }),
    secrets: createInformer<SecretObject>(client, secretType, {
      logger,
      namespace: namespaces.secrets,
    }),
    leases: createInformer<Lease>(client, leaseType, { logger, namespace: namespaces.system }),
  };
}

const present = (key: string | undefined): readonly string[] => (key === undefined ? [] : [key]);

/** Cache keys of what the AppInst's plan is pinned to. */
function inputKeys(object: AppInst): { readonly revision?: string; readonly secret?: string } {
  const rollout = object.status?.rollout;
  if (!rollout) return {};
  return {
    revision: `${object.metadata.namespace}/${rollout.revision}`,
    ...(rollout.secret ? { secret: `${namespaces.secrets}/${rollout.secret}` } : {}),
  };
}

function subscribe(caches: Caches, events: RegionEvents): void {
  const touchAppInst = (object: AppInst): void => {
    const [site, id] = [object.status?.placement?.cloudlet, instanceIdOf(object)];
    if (site !== undefined && id !== undefined) events.touched(site, id);
  };
  caches.cloudlets.subscribe((event) => {
    const gone = event.type === 'Deleted';
    events.cloudletChanged(event.object.metadata.name, gone ? undefined : event.object);
  });
  caches.ledgers.subscribe((event) => {
    const after = event.type === 'Deleted' ? undefined : event.object;
    for (const id of changedIds(oldOf(event), after))
      events.touched(event.object.metadata.name, id);
  });
  caches.appInsts.subscribe((event) => {
    const old = oldOf(event);
    if (old) touchAppInst(old);
    touchAppInst(event.object);
    if (event.type === 'Deleted') events.appInstGone(event.object.metadata.uid);
  });
  caches.leases.subscribe((event) => {
    const site = event.object.metadata.labels?.[labels.cloudlet];
    if (event.type !== 'Updated' || site === undefined) return;
    // Duplicates that another replica found are refused here too, and not with the next sign of life only.
    const isFound = event.object.metadata.annotations?.[leaseAnnotations.duplicate];
    const cloudlet = caches.cloudlets.cache.get(site);
    if (
      cloudlet &&
      isFound &&
      isFound !== event.old.metadata.annotations?.[leaseAnnotations.duplicate]
    )
      events.cloudletChanged(site, cloudlet);
    // A restore may take a removal off record behind a site that says it once only.
    for (const { id } of takenOffRecord(event.old, event.object)) events.touched(site, id);
  });
  const touchUsers = (index: string) => (event: CacheEvent<KubernetesObject>) => {
    const { namespace, name } = event.object.metadata;
    for (const user of caches.appInsts.cache.byIndex(index, `${namespace}/${name}`))
      touchAppInst(user);
  };
  caches.revisions.subscribe(touchUsers('revision'));
  caches.secrets.subscribe(touchUsers('secret'));
}

/** What was in the cache before the event. */
function oldOf<T extends KubernetesObject>(event: CacheEvent<T>): T | undefined {
  if (event.type === 'Updated') return event.old;
  return event.type === 'Deleted' ? event.object : undefined;
}
