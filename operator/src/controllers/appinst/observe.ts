/**
 * Everything that a reconcile of an AppInst looks at, read once: from memory, but for the tenant's Secrets,
 * which nobody may watch across the cluster and which are therefore read when they are needed.
 */
import {
  type App,
  type AppInst,
  appInstReasons,
  type AppSpec,
  type Cloudlet,
  type CloudletLedgerSpec,
  type Cluster,
  type Flavor,
  type LedgerEntry,
  type LedgerTombstone,
} from '@cloudlet/crds';
import {
  describeError,
  ForbiddenError,
  NotFoundError,
  TerminalError,
} from '@cloudlet/runtime/base';
import type { ControllerRevision, SecretObject } from '../../kinds.ts';
import { entryOf, tombstoneOf } from '../../ledger/entries.ts';
import type { SiteView } from '../../placement/site.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { revisionName } from '../../plan/revision.ts';
import { copiedData, secretCopy, secretReferences } from '../../plan/secrets.ts';
import { refs, type Region } from '../../region.ts';
import { conditionOf } from '../../status.ts';
import { sightOf } from './conditions.ts';
import {
  chooseRevision,
  type RolloutChoice,
  type RolloutVerdict,
  rolloutVerdict,
} from './rollout.ts';

/** Something that the spec names and that is not right: a condition's reason and message. */
export interface Problem {
  readonly reason: string;
  readonly message: string;
}

/** What the ledger of one site says of the instance. */
export interface Holding {
  readonly site: string;
  readonly cloudlet: Cloudlet | undefined;
  readonly ledger: CloudletLedgerSpec;
  readonly entry: LedgerEntry | undefined;
  readonly tombstone: LedgerTombstone | undefined;
}

export interface Observed {
  readonly appInst: AppInst;
  readonly id: string;
  readonly now: number;
  readonly app: App | undefined;
  readonly revision: ControllerRevision | undefined;
  readonly choice: RolloutChoice | undefined;
  readonly verdict: RolloutVerdict;
  readonly flavor: Flavor | undefined;
  readonly cluster: Cluster | undefined;
  /** Sites that the spec allows; undefined where what it names does not exist. */
  readonly sites: readonly SiteView[] | Problem;
  readonly holdings: readonly Holding[];
  /** Copy of the secrets that the revision refers to. */
  readonly copy: SecretObject | undefined;
  readonly problem: Problem | undefined;
}

/** What observing needs besides the region. */
export interface ObserveDependencies {
  readonly region: Region;
  /** Key of the names of copied secrets. */
  readonly hashKey: () => string;
}

export async function observe(
  { region, hashKey }: ObserveDependencies,
  appInst: AppInst,
  id: string,
  signal: AbortSignal,
): Promise<Observed> {
  const namespace = appInst.metadata.namespace ?? '';
  const now = region.clock.now();
  const app = region.apps.get(`${namespace}/${appInst.spec.appRef.name}`);
  const holdings = holdingsOf(region, id);
  const running = revisionNamed(region, namespace, appInst.status?.rollout?.revision);
  const here = holdings.find(({ entry }) => entry !== undefined);
  const verdict = rolloutVerdict({
    appInst,
    spec: running?.data.spec,
    connectedSince: connectedSince(here?.cloudlet),
    now,
  });
  const choice = app && chooseRevision({ appInst, current: revisionName(app), verdict });
  // What is suspended stays on what is pinned, whatever the App has become.
  const wanted = appInst.spec.suspend ? appInst.status?.rollout?.revision : choice?.revision;
  const revision = revisionNamed(region, namespace, wanted);
  const secrets = await readSecrets(region, hashKey, namespace, revision?.data.spec, signal);
  const flavorName = flavorNameOf(appInst, revision?.data.spec);
  const cluster = clusterOf(region, appInst);
  return {
    appInst,
    id,
    now,
    app,
    revision,
    choice,
    verdict,
    flavor: flavorName === undefined ? undefined : region.flavors.get(flavorName),
    cluster,
    sites: sitesOf(region, appInst, id, cluster, holdings),
    holdings,
    ...secrets,
  };
}

export const flavorNameOf = (appInst: AppInst, spec: AppSpec | undefined): string | undefined =>
  appInst.spec.flavorRef?.name ?? spec?.defaultFlavorRef?.name;

/** Every site whose ledger knows the instance, the present placement first. */
export function holdingsOf(region: Region, id: string): readonly Holding[] {
  const names = new Set(
    region.informers.ledgers.cache.byIndex('id', id).map(({ metadata }) => metadata.name),
  );
  for (const { status } of region.referrers(refs.id(id)))
    if (status?.placement) names.add(status.placement.cloudlet);
  for (const name of region.placements.get(id) ?? []) names.add(name);
  return [...names]
    .flatMap((site): Holding[] => {
      const ledger = region.ledgers.view(site);
      const [entry, tombstone] = [entryOf(ledger, id), tombstoneOf(ledger, id)];
      if (!ledger || (!entry && !tombstone)) return [];
      return [{ site, cloudlet: region.cloudlets.get(site), ledger, entry, tombstone }];
    })
    .sort((a, b) => (b.entry?.sequence ?? 0) - (a.entry?.sequence ?? 0));
}

/** Notes that the ledger of `site` may know the instance, before the watch tells. */
export function rememberPlacement(region: Region, id: string, site: string): void {
  const sites = region.placements.get(id) ?? new Set();
  region.placements.set(id, sites.add(site));
}

function connectedSince(cloudlet: Cloudlet | undefined): number | undefined {
  if (!cloudlet || sightOf(cloudlet) !== 'Connected') return undefined;
  const at = conditionOf(cloudlet, 'Connected')?.lastTransitionTime;
  return at === undefined ? undefined : Date.parse(at);
}

function revisionNamed(region: Region, namespace: string, name: string | undefined) {
  return name === undefined
    ? undefined
    : region.informers.revisions.cache.get(`${namespace}/${name}`);
}

function clusterOf(region: Region, { metadata, spec }: AppInst): Cluster | undefined {
  if (!spec.clusterRef) return undefined;
  const namespace = spec.clusterRef.namespace ?? metadata.namespace ?? '';
  return region.clusters.get(`${namespace}/${spec.clusterRef.name}`);
}

function sitesOf(
  region: Region,
  appInst: AppInst,
  id: string,
  cluster: Cluster | undefined,
  holdings: readonly Holding[],
): readonly SiteView[] | Problem {
  const { clusterRef, cloudletRef, zoneRef } = appInst.spec;
  const cloudlets = cloudletsOf(region, appInst, cluster);
  if (!Array.isArray(cloudlets)) return cloudlets as Problem;
  const sites = (cloudlets as readonly Cloudlet[]).filter(
    // A Cloudlet without an id is a moment old: its controller comes first.
    (cloudlet) => instanceIdOf(cloudlet) !== undefined,
  );
  if (sites.length === 0 && (clusterRef ?? cloudletRef ?? zoneRef) && cloudlets.length > 0)
    return { reason: appInstReasons.Progressing, message: 'The site is being set up.' };
  const present = holdings.find(({ entry }) => entry !== undefined)?.site;
  // Counting costs a look at every instance of the App: only where there is a choice to make.
  const sameApp = sites.length > 1 ? sameAppBySite(region, appInst, id) : new Map<string, number>();
  return sites.map((cloudlet): SiteView => {
    const { name } = cloudlet.metadata;
    return {
      cloudlet,
      ledger: region.ledgers.view(name),
      cluster,
      isHere: name === present,
      sameApp: sameApp.get(name) ?? 0,
    };
  });
}

function cloudletsOf(
  region: Region,
  appInst: AppInst,
  cluster: Cluster | undefined,
): readonly Cloudlet[] | Problem {
  const { clusterRef, cloudletRef, zoneRef } = appInst.spec;
  if (clusterRef && !cluster)
    return {
      reason: appInstReasons.ClusterNotFound,
      message: `spec.clusterRef: there is no Cluster '${clusterRef.name}'${clusterRef.namespace ? ` in namespace '${clusterRef.namespace}'` : ''}.`,
    };
  if (zoneRef) {
    if (!region.zones.get(zoneRef.name))
      return {
        reason: appInstReasons.ZoneNotFound,
        message: `spec.zoneRef: there is no Zone '${zoneRef.name}'.`,
      };
    return region.informers.cloudlets.cache
      .byIndex('zone', zoneRef.name)
      .map((cloudlet) => region.cloudlets.get(cloudlet.metadata.name) ?? cloudlet);
  }
  const name = cluster?.spec.cloudletRef.name ?? cloudletRef?.name ?? '';
  const cloudlet = region.cloudlets.get(name);
  if (cloudlet) return [cloudlet];
  return {
    reason: appInstReasons.CloudletNotFound,
    message: clusterRef
      ? `spec.clusterRef: the site of Cluster '${clusterRef.name}' does not exist.`
      : `spec.cloudletRef: there is no Cloudlet '${name}'.`,
  };
}

/** Instances of the same App at each site, this one aside. */
function sameAppBySite(
  region: Region,
  { metadata, spec }: AppInst,
  id: string,
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const other of region.referrers(refs.app(metadata.namespace ?? '', spec.appRef.name))) {
    const site = other.status?.placement?.cloudlet;
    if (site !== undefined && instanceIdOf(other) !== id)
      counts.set(site, (counts.get(site) ?? 0) + 1);
  }
  return counts;
}

/** Reads the Secrets that a revision refers to, and makes the copy of just those keys. */
async function readSecrets(
  region: Region,
  hashKey: () => string,
  namespace: string,
  spec: AppSpec | undefined,
  signal: AbortSignal,
): Promise<Pick<Observed, 'copy' | 'problem'>> {
  const names = new Set((spec ? secretReferences(spec) : []).map(({ secret }) => secret));
  if (!spec || names.size === 0) return { copy: undefined, problem: undefined };
  try {
    const secrets = new Map<string, SecretObject>();
    for (const name of names) {
      const secret = await readSecret(region, name, namespace, signal);
      if (secret) secrets.set(name, secret);
    }
    const data = copiedData(spec, secrets);
    const copy = data && secretCopy(hashKey(), namespace, data);
    return { copy, problem: undefined };
  } catch (error) {
    if (!(error instanceof TerminalError)) throw error;
    return { copy: undefined, problem: { reason: error.reason, message: describeError(error) } };
  }
}

async function readSecret(
  region: Region,
  name: string,
  namespace: string,
  signal: AbortSignal,
): Promise<SecretObject | undefined> {
  try {
    return await region.clients.secrets.get(name, namespace, { signal });
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    if (error instanceof ForbiddenError)
      throw new TerminalError(
        appInstReasons.SecretNotFound,
        `the operator may not read Secrets of namespace '${namespace}': it is not labelled as an organization`,
        { cause: error },
      );
    throw error;
  }
}
