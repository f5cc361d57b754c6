/**
 * The filters of placement: a site takes an instance when none of them refuses.
 *
 * Guarantees: pure; each refusal reads as the end of "the site ..." and names neither the site nor how
 * much it has, since a developer who targets a zone may not know its sites.
 */
import { cloudletConditions, cloudletReasons } from '@cloudlet/crds';
import { portsTakenBy, type Usage, usageOf } from '../ledger/entries.ts';
import { allocatePorts, defaultPortRange } from '../ledger/ports.ts';
import { formatBytes, parseQuantity, timesReplicas } from './quantity.ts';
import {
  clusterName,
  type PlacementRequest,
  platformDeployments,
  type Refusal,
  type SiteView,
} from './site.ts';

type Filter = (request: PlacementRequest, site: SiteView) => string | undefined;

const filters: Readonly<Record<string, Filter>> = {
  Deleted: isNotDeleted, //            the site is going away
  Revoked: isNotRevoked, //            its agents are cut off
  Maintenance: isNotDraining, //       nothing new while it drains
  Connection: isConnected, //          a zone's site must be seen
  Platform: isPlatformReady, //        and be able to run things
  Deployment: runsDeployment, //       of this kind
  Architecture: hasArchitecture, //    for these processors
  Namespace: allowsNamespace, //       for this tenant
  ClusterBound: fitsCluster, //        within what its Cluster may have
  Capacity: fitsSite, //               within what is left
  Quota: fitsQuotas, //                and what its operator gives away
  Ports: hasPorts, //                  with its ports
};

/** Every reason why the site does not take the instance; none means that it does. */
export function refusalsOf(request: PlacementRequest, site: SiteView): readonly Refusal[] {
  return Object.entries(filters).flatMap(([filter, refuse]) => {
    const message = refuse(request, site);
    return message === undefined ? [] : [{ filter, message }];
  });
}

function isNotDeleted(_: PlacementRequest, { cloudlet, isHere }: SiteView): string | undefined {
  return !isHere && cloudlet.metadata.deletionTimestamp ? 'is being deleted' : undefined;
}

function isNotRevoked(_: PlacementRequest, { cloudlet, isHere }: SiteView): string | undefined {
  return !isHere && cloudlet.spec.revoked ? 'is cut off by its operator' : undefined;
}

function isNotDraining(_: PlacementRequest, { cloudlet, isHere }: SiteView): string | undefined {
  const maintenance = cloudlet.spec.maintenance ?? 'Normal';
  return !isHere && maintenance !== 'Normal'
    ? 'is in maintenance and takes no new instances'
    : undefined;
}

function isConnected(request: PlacementRequest, site: SiteView): string | undefined {
  if (request.isNamed || site.isHere) return undefined;
  const connected = conditionOf(site, cloudletConditions.Connected);
  if (connected?.status === 'True') return undefined;
  return connected?.reason === cloudletReasons.HubUnavailable
    ? 'cannot be seen at present'
    : 'is not connected';
}

function isPlatformReady(request: PlacementRequest, site: SiteView): string | undefined {
  if (request.isNamed || site.isHere) return undefined;
  // Of a site that cannot be seen nobody knows.
  if (conditionOf(site, cloudletConditions.Connected)?.status !== 'True') return undefined;
  const status = conditionOf(site, cloudletConditions.PlatformReady)?.status;
  return status === 'True' ? undefined : 'has a platform that is not ready';
}

function runsDeployment(request: PlacementRequest, { cloudlet }: SiteView): string | undefined {
  return platformDeployments[cloudlet.spec.platform].includes(request.deployment)
    ? undefined
    : `does not run deployment ${request.deployment}`;
}

function hasArchitecture(request: PlacementRequest, { cloudlet }: SiteView): string | undefined {
  const wanted = request.architectures ?? [];
  const offered = cloudlet.status?.site?.architectures;
  if (wanted.length === 0 || offered === undefined) return undefined;
  return wanted.some((architecture) => offered.includes(architecture))
    ? undefined
    : `has no node for ${wanted.join(' or ')}`;
}

function allowsNamespace(request: PlacementRequest, { cluster }: SiteView): string | undefined {
  if (!cluster || cluster.metadata.namespace === request.namespace) return undefined;
  const isAllowed =
    cluster.spec.multiTenant === true &&
    (cluster.spec.allowedNamespaces ?? []).includes(request.namespace);
  return isAllowed ? undefined : `is a Cluster that does not allow namespace ${request.namespace}`;
}

function fitsCluster(request: PlacementRequest, site: SiteView): string | undefined {
  const bound = site.cluster?.spec.resources;
  if (!site.cluster || !bound) return undefined;
  const usage = usageOf(site.ledger, { exceptId: request.id, cluster: clusterName(site.cluster) });
  return lacks(request, usage, {
    cpuMillis: bound.vcpus === undefined ? undefined : parseQuantity(bound.vcpus, 1000),
    memoryBytes: bound.memory === undefined ? undefined : parseQuantity(bound.memory),
  });
}

function fitsSite(request: PlacementRequest, site: SiteView): string | undefined {
  const capacity = site.cloudlet.status?.site?.capacity;
  if (!capacity) return undefined;
  return lacks(request, usageOf(site.ledger, { exceptId: request.id }), capacity);
}

function fitsQuotas(request: PlacementRequest, site: SiteView): string | undefined {
  const quotas = new Map(
    (site.cloudlet.spec.resourceQuotas ?? []).map(({ name, value }) => [name, value]),
  );
  const bound = (name: 'vcpus' | 'memory' | 'disk' | 'instances', scale = 1) => {
    const value = quotas.get(name);
    return value === undefined ? undefined : parseQuantity(value, scale);
  };
  const usage = usageOf(site.ledger, { exceptId: request.id });
  const listed = usage.instances + (site.ledger?.tombstones?.length ?? 0);
  if (!site.isHere && listed >= mostInstances) return 'has as many instances as a site can have';
  if (usage.instances + 1 > (bound('instances') ?? Infinity))
    return 'has as many instances as it may';
  return lacks(request, usage, {
    cpuMillis: bound('vcpus', 1000),
    memoryBytes: bound('memory'),
    diskBytes: bound('disk'),
  });
}

function hasPorts(request: PlacementRequest, site: SiteView): string | undefined {
  const grant = allocatePorts({
    id: request.id,
    wanted: request.ports,
    held: [],
    taken: portsTakenBy(site.ledger, request.id),
    range: site.cloudlet.spec.loadBalancer?.portRange ?? defaultPortRange,
  });
  return grant.kind === 'Exhausted' ? `has no port left for '${grant.port}'` : undefined;
}

/** A ledger holds no more, of those that are placed and those that go together. */
const mostInstances = 2000;

interface Bound {
  readonly cpuMillis?: number | undefined;
  readonly memoryBytes?: number | undefined;
  readonly diskBytes?: number | undefined;
}

/** What of the request does not fit under the bound beside what is used. */
function lacks(request: PlacementRequest, usage: Usage, bound: Bound): string | undefined {
  const wanted = timesReplicas(request.resources ?? {}, request.replicas);
  const { cpuMillis = 0, memoryBytes = 0, diskBytes = 0 } = wanted;
  const exceeds = (amount: number, used: number, most: number | undefined): boolean =>
    amount > 0 && most !== undefined && used + amount > most;
  const missing = [
    exceeds(cpuMillis, usage.cpuMillis, bound.cpuMillis) ? `${cpuMillis / 1000} CPUs` : undefined,
    exceeds(memoryBytes, usage.memoryBytes, bound.memoryBytes)
      ? `${formatBytes(memoryBytes)} of memory`
      : undefined,
    exceeds(diskBytes, usage.diskBytes, bound.diskBytes)
      ? `${formatBytes(diskBytes)} of disk`
      : undefined,
  ].filter((part) => part !== undefined);
  return missing.length === 0 ? undefined : `has not ${missing.join(' and ')} to give`;
}

function conditionOf({ cloudlet }: SiteView, type: string) {
  return cloudlet.status?.conditions?.find((condition) => condition.type === type);
}
