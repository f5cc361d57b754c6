/** What a site has given away: capacity, ports, plans that were not taken, removals that wait. Pure. */
import {
  annotations,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  finalizers,
  groupVersion,
  type LedgerEntry,
} from '@cloudlet/crds';
import { defaultPortRange, instanceIdOf, parseQuantity, portsTakenBy } from '@cloudlet/operator';
import { isConnected, objectOf } from './checks-site.ts';
import { type Finding, isOlder, minuteMs, problem, warning } from './finding.ts';
import type { RegionView } from './view.ts';

export interface Share {
  readonly name: 'vcpus' | 'memory' | 'instances';
  readonly used: number;
  /** The lower of what the site has and its quota; undefined where nobody bounds it. */
  readonly bound: number | undefined;
}

/** What is given away of what can be. */
export function sharesOf({ spec, status }: Cloudlet): readonly Share[] {
  const { allocated, site } = status ?? {};
  const quota = (name: Share['name']): number | undefined => {
    const value = spec.resourceQuotas?.find((one) => one.name === name)?.value;
    return value === undefined ? undefined : parseQuantity(value, name === 'vcpus' ? 1000 : 1);
  };
  const least = (...bounds: readonly (number | undefined)[]): number | undefined => {
    const known = bounds.filter((bound) => bound !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  };
  return [
    {
      name: 'vcpus',
      used: allocated?.cpuMillis ?? 0,
      bound: least(site?.capacity?.cpuMillis, quota('vcpus')),
    },
    {
      name: 'memory',
      used: allocated?.memoryBytes ?? 0,
      bound: least(site?.capacity?.memoryBytes, quota('memory')),
    },
    { name: 'instances', used: allocated?.instances ?? 0, bound: quota('instances') },
  ];
}

const nearlyFull = 0.9;

export function capacityCheck(cloudlet: Cloudlet): readonly Finding[] {
  return sharesOf(cloudlet).flatMap(({ name, used, bound }) => {
    if (bound === undefined || used === 0 || used < bound * nearlyFull) return [];
    const percent = bound === 0 ? 'more than all' : `${Math.round((used / bound) * 100)}%`;
    const judge = used > bound ? problem : warning;
    return [
      judge(
        used > bound ? 'OverCommitted' : 'NearlyFull',
        objectOf(cloudlet),
        `${percent} of its ${name} is given away.`,
        "Add nodes, raise spec.resourceQuotas, or move instances: 'kubectl cloudlet top appinsts -A'.",
      ),
    ];
  });
}

export function portsCheck(cloudlet: Cloudlet, view: RegionView): readonly Finding[] {
  const ledger = ledgerOf(cloudlet, view);
  if (!ledger) return [];
  const { first, last } = cloudlet.spec.loadBalancer?.portRange ?? defaultPortRange;
  const count = last - first + 1;
  const taken = new Set<number>();
  for (const { publicPort, count: ports = 1 } of portsTakenBy(ledger.spec))
    for (let port = Math.max(first, publicPort); port < publicPort + ports && port <= last; port++)
      taken.add(port);
  if (taken.size < count * nearlyFull) return [];
  const judge = taken.size === count ? problem : warning;
  return [
    judge(
      taken.size === count ? 'PortsExhausted' : 'NearlyFull',
      objectOf(cloudlet),
      `${taken.size} of the ${count} ports of its range are taken.`,
      `Widen spec.loadBalancer.portRange of ${cloudlet.metadata.name}.`,
    ),
  ];
}

const ledgerOf = ({ metadata }: Cloudlet, { objects }: RegionView): CloudletLedger | undefined =>
  objects.CloudletLedger?.find((ledger) => ledger.metadata.name === metadata.name);

const placedAt = ({ metadata }: Cloudlet, { objects }: RegionView): readonly AppInst[] =>
  (objects.AppInst ?? []).filter(({ status }) => status?.placement?.cloudlet === metadata.name);

const takenWithinMs = 2 * minuteMs;

/** The plan in force at the site is that of the ledger, within the time that a tunnel takes. */
export function plansCheck(cloudlet: Cloudlet, view: RegionView): readonly Finding[] {
  const instances = placedAt(cloudlet, view);
  const ledger = ledgerOf(cloudlet, view);
  if (view.objects.CloudletLedger && !ledger && instances.length > 0)
    return [
      problem(
        'LedgerMissing',
        objectOf(cloudlet),
        `${instances.length} instances are placed there, and there is no CloudletLedger of it.`,
        "The operator makes it anew of their statuses; if it does not: 'kubectl -n cloudlet-system logs deployment/cloudlet-operator'.",
      ),
    ];
  if (!isConnected(cloudlet)) return [];
  return instances.flatMap((appInst) => {
    const { rollout, site } = appInst.status ?? {};
    const reported = site?.placement ?? 0;
    const object = instanceOf(appInst);
    if (appInst.spec.suspend || !rollout) return [];
    if (reported > rollout.sequence)
      return [
        warning(
          'SiteAhead',
          object,
          `${cloudlet.metadata.name} has plan ${reported}, the region ${rollout.sequence}: the region was restored from a backup.`,
          'The operator catches up by itself; see CloudletSiteAhead in docs/runbooks.md.',
        ),
      ];
    if (reported === rollout.sequence || !isOlder(rollout.startedAt, takenWithinMs, view.now))
      return [];
    return [
      problem(
        'PlanNotTaken',
        object,
        `${cloudlet.metadata.name} is connected and reports plan ${reported}, not ${rollout.sequence}.`,
        "'kubectl -n cloudlet-system logs deployment/cloudlet-hub' names what it cannot render or send; then 'cloudlet-agent doctor' at the site.",
        rollout.startedAt,
      ),
    ];
  });
}

const removedWithinMs = 10 * minuteMs;

export function tombstonesCheck(cloudlet: Cloudlet, view: RegionView): readonly Finding[] {
  const name = cloudlet.metadata.name;
  return (ledgerOf(cloudlet, view)?.spec.tombstones ?? [])
    .filter(({ since }) => isOlder(since, removedWithinMs, view.now))
    .map(({ id, since, reason }) =>
      warning(
        'RemovalWaits',
        objectOf(cloudlet),
        `The removal of instance ${id} (${reason}) is not confirmed; its ports stay taken.`,
        isConnected(cloudlet)
          ? `The agent's log says why: 'kubectl cloudlet shell ${name} -- journalctl -u cloudlet-agent'.`
          : `It goes on when ${name} returns. If that is gone for good: 'kubectl annotate cloudlet ${name} edge.cloudlet.dev/abandon=true', then delete it.`,
        since,
      ),
    );
}

/**
 * Entries whose AppInst is no more, as when its finalizer was taken off by hand. Absence never deletes, so they
 * keep their ports and the site its containers until somebody asks for the removal in their name.
 */
export function entriesCheck(cloudlet: Cloudlet, view: RegionView): readonly Finding[] {
  const { AppInst: appInsts, App: apps = [] } = view.objects;
  const ledger = ledgerOf(cloudlet, view);
  if (!appInsts || !ledger) return [];
  const ids = new Set(appInsts.map((one) => instanceIdOf(one) ?? one.metadata.uid));
  return (ledger.spec.entries ?? [])
    .filter(({ id }) => !ids.has(id))
    .map((entry) =>
      warning(
        'EntryWithoutAppInst',
        objectOf(cloudlet),
        `The ledger keeps instance ${entry.id} for AppInst ${entry.namespace}/${entry.name}, which is no more; the site keeps running it, and its ports stay taken.`,
        removalOf(entry, cloudlet.metadata.name, [...appInsts, ...apps]),
      ),
    );
}

/**
 * An object under the same id, with its finalizer from the first moment, is deleted as the first one should have
 * been. Where an AppInst has the id after all, the operator gives this one an id of its own, which removes nothing.
 */
function removalOf(
  { id, namespace }: LedgerEntry,
  site: string,
  objects: readonly { readonly metadata: { readonly namespace?: string } }[],
): string {
  // Often its whole namespace is gone; any will do.
  const isThere = objects.some(({ metadata }) => metadata.namespace === namespace);
  const metadata = {
    name: `gone-${id.slice(0, 13)}`.replace(/-+$/, '').toLowerCase(),
    namespace: isThere ? namespace : 'default',
    annotations: { [annotations.instanceId]: id },
    finalizers: [finalizers.appinst],
  };
  const spec = { appRef: { name: 'gone' }, cloudletRef: { name: site } };
  const object = { apiVersion: groupVersion, kind: 'AppInst', metadata, spec };
  return `If nobody makes it again: echo '${JSON.stringify(object)}' | kubectl create -f - && kubectl delete appinst ${metadata.name} -n ${metadata.namespace}. It goes when the site has removed the instance.`;
}

export const instanceOf = ({ metadata }: AppInst): string =>
  `AppInst ${metadata.namespace}/${metadata.name}`;
