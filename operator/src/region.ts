/**
 * The operator's view of the region: one informer a kind, typed clients, and the ledgers.
 *
 * Guarantees: reads come from memory and never go back behind this process's own writes; one index, `refs`,
 * leads from whatever an object refers to, to the objects that refer to it, so that each relation is written
 * down once.
 */
import {
  type App,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  type Cluster,
  type Flavor,
  labels,
  namespaces,
  type Zone,
} from '@cloudlet/crds';
import type { Clock, Logger } from '@cloudlet/runtime/base';
import {
  createInformer,
  type KubernetesClient,
  type KubernetesObject,
  type ObservableInformer,
  type ResourceType,
} from '@cloudlet/runtime/kubernetes';
import { createFreshest } from './freshest.ts';
import {
  type CertificateSigningRequest,
  certificateSigningRequestType,
  type ControllerRevision,
  controllerRevisionType,
  type Lease,
  leaseType,
  type NamespaceObject,
  namespaceType,
  resourceTypes,
  type SecretObject,
  secretType,
} from './kinds.ts';
import { createLedgerBook, type LedgerBook } from './ledger/book.ts';
import { rebuildLedger } from './ledger/entries.ts';
import { instanceIdOf } from './plan/render.ts';
import { conditionOf } from './status.ts';

/** Values of the index `refs`. */
export const refs = {
  app: (namespace: string, name: string) => `App/${namespace}/${name}`,
  cluster: (namespace: string, name: string) => `Cluster/${namespace}/${name}`,
  cloudlet: (name: string) => `Cloudlet/${name}`,
  zone: (name: string) => `Zone/${name}`,
  flavor: (name: string) => `Flavor/${name}`,
  /** The site that an AppInst is placed at, whatever it asked for. */
  site: (name: string) => `site/${name}`,
  id: (id: string) => `id/${id}`,
  /** A copy of secrets. */
  copy: (name: string) => `copy/${name}`,
};

export interface RegionDependencies {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onLedgerWrite?: (changes: number) => void;
}

export type Region = ReturnType<typeof createRegion>;
export type RegionInformers = ReturnType<typeof createInformers>;

export function createRegion({ client, clock, logger, onLedgerWrite }: RegionDependencies) {
  const informers = createInformers(client, logger, clock);
  const clients = createClients(client);
  const ledgers: LedgerBook = createLedgerBook({
    client: clients.ledgers,
    informer: informers.ledgers,
    seed: ({ name, id }) => rebuildLedger(id, placedAt(informers, name)),
    ...(onLedgerWrite ? { onWrite: onLedgerWrite } : {}),
  });
  const all = Object.values(
    informers,
  ) as unknown as readonly ObservableInformer<KubernetesObject>[];
  return {
    client,
    clients,
    clock,
    logger,
    informers,
    ledgers,
    allInformers: all,
    cloudlets: createFreshest(informers.cloudlets),
    appInsts: createFreshest(informers.appInsts),
    apps: createFreshest(informers.apps),
    clusters: createFreshest(informers.clusters),
    zones: createFreshest(informers.zones),
    flavors: createFreshest(informers.flavors),
    /** Sites that this process placed an instance at, by id, before the watch tells. */
    placements: new Map<string, Set<string>>(),
    /** AppInsts that refer to what `ref` (see `refs`) stands for. */
    referrers: (ref: string): readonly AppInst[] => informers.appInsts.cache.byIndex('refs', ref),
    async run(signal: AbortSignal): Promise<void> {
      await Promise.all(all.map((informer) => informer.run(signal)));
    },
    async synced(signal?: AbortSignal): Promise<void> {
      await Promise.all(all.map((informer) => informer.synced(signal)));
    },
  };
}

function createClients(client: KubernetesClient) {
  return {
    cloudlets: client.resource<Cloudlet>(resourceTypes.Cloudlet),
    appInsts: client.resource<AppInst>(resourceTypes.AppInst),
    apps: client.resource<App>(resourceTypes.App),
    clusters: client.resource<Cluster>(resourceTypes.Cluster),
    zones: client.resource<Zone>(resourceTypes.Zone),
    flavors: client.resource<Flavor>(resourceTypes.Flavor),
    ledgers: client.resource<CloudletLedger>(resourceTypes.CloudletLedger),
    revisions: client.resource<ControllerRevision>(controllerRevisionType),
    secrets: client.resource<SecretObject>(secretType),
    leases: client.resource<Lease>(leaseType),
    requests: client.resource<CertificateSigningRequest>(certificateSigningRequestType),
  };
}

function createInformers(client: KubernetesClient, logger: Logger, clock: Clock) {
  const informer = <T extends KubernetesObject>(
    type: ResourceType,
    options: Parameters<typeof createInformer<T>>[2] = {},
  ): ObservableInformer<T> => createInformer<T>(client, type, { logger, clock, ...options });
  return {
    cloudlets: informer<Cloudlet>(resourceTypes.Cloudlet, {
      indexes: {
        zone: ({ spec }) => (spec.zoneRef ? [spec.zoneRef.name] : []),
        id: ({ metadata }) => [instanceIdOf({ metadata }) ?? ''],
        orphan: ({ status }) => (status?.site?.orphans ?? []).map(({ id }) => id),
      },
    }),
    appInsts: informer<AppInst>(resourceTypes.AppInst, {
      indexes: { refs: refsOf, waiting: waitingOf },
    }),
    apps: informer<App>(resourceTypes.App, {
      indexes: {
        refs: ({ spec }) =>
          spec.defaultFlavorRef ? [refs.flavor(spec.defaultFlavorRef.name)] : [],
      },
    }),
    clusters: informer<Cluster>(resourceTypes.Cluster, {
      indexes: { refs: ({ spec }) => [refs.cloudlet(spec.cloudletRef.name)] },
    }),
    zones: informer<Zone>(resourceTypes.Zone),
    flavors: informer<Flavor>(resourceTypes.Flavor),
    ledgers: informer<CloudletLedger>(resourceTypes.CloudletLedger, {
      indexes: {
        id: ({ spec }) => [
          ...(spec.entries ?? []).map((entry) => entry.id),
          ...(spec.tombstones ?? []).map((tombstone) => tombstone.id),
        ],
      },
    }),
    revisions: informer<ControllerRevision>(controllerRevisionType, {
      labelSelector: labels.app,
      indexes: {
        app: ({ metadata }) => (metadata.ownerReferences ?? []).map((owner) => owner.uid),
      },
    }),
    copies: informer<SecretObject>(secretType, {
      namespace: namespaces.secrets,
      // What is in them is not needed here, so it is not kept.
      transform: ({ data: _, ...rest }) => rest,
    }),
    system: informer<SecretObject>(secretType, { namespace: namespaces.system }),
    leases: informer<Lease>(leaseType, { namespace: namespaces.system }),
    namespaces: informer<NamespaceObject>(namespaceType),
    requests: informer<CertificateSigningRequest>(certificateSigningRequestType, {
      labelSelector: labels.cloudlet,
      indexes: {
        cloudlet: ({ metadata }) => [metadata.labels?.[labels.cloudlet] ?? ''],
      },
    }),
  };
}

function refsOf({ metadata, spec, status }: AppInst): readonly string[] {
  const namespace = metadata.namespace ?? '';
  const id = instanceIdOf({ metadata });
  return [
    refs.app(namespace, spec.appRef.name),
    ...wishOf(spec, namespace),
    ...(spec.flavorRef ? [refs.flavor(spec.flavorRef.name)] : []),
    ...(status?.placement ? [refs.site(status.placement.cloudlet)] : []),
    ...(status?.rollout?.secret ? [refs.copy(status.rollout.secret)] : []),
    ...(id === undefined ? [] : [refs.id(id)]),
  ];
}

/** Where it is to run, as it was asked for. */
const wishOf = (spec: AppInst['spec'], namespace: string): readonly string[] => [
  ...(spec.clusterRef
    ? [refs.cluster(spec.clusterRef.namespace ?? namespace, spec.clusterRef.name)]
    : []),
  ...(spec.cloudletRef ? [refs.cloudlet(spec.cloudletRef.name)] : []),
  ...(spec.zoneRef ? [refs.zone(spec.zoneRef.name)] : []),
];

/** What has no place, or was refused the one that it wants. */
function waitingOf(appInst: AppInst): readonly string[] {
  const isRefused = conditionOf(appInst, 'Accepted')?.status === 'False';
  if (appInst.status?.placement && !isRefused) return [];
  return wishOf(appInst.spec, appInst.metadata.namespace ?? '');
}

function placedAt(informers: RegionInformers, cloudlet: string) {
  return informers.appInsts.cache.byIndex('refs', refs.site(cloudlet)).flatMap((appInst) => {
    const id = instanceIdOf(appInst);
    return id === undefined ? [] : [{ id, appInst }];
  });
}
