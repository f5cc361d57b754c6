/**
 * What an upgrade is done to: the version before on a cluster of kind, hollow sites with instances, a site of
 * real containers whose agent is of that version too, and who watches them.
 *
 * Guarantees: region, cluster, agents and their connections are real; only the platforms of the hollow sites
 * are in memory. The hollow agents are of these sources: before the upgrade they are newer than their hub.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { AppInst } from '@cloudlet/crds';
import { type Lease, leaseType, resourceTypes } from '@cloudlet/operator';
import {
  openKindWorld,
  type KindWorld,
  instanceAt,
  phonesAgent,
  site,
} from '../kind/stories/world.ts';
import { startKindBed } from '../kind/bed.ts';
import { installToReady, type Version } from '../kind/install.ts';
import { appInstOf, appliesAtOnce, applyApp, isReady, namespace } from '../scale/bed.ts';
import { conditionOf } from '../scale/conditions.ts';
import { type HollowSites, startHollowSites } from '../scale/hollow.ts';
import { inParallel, keyOf, type Watching, watching } from '../scale/watching.ts';
import { type Component, expect, type Progress, until } from '../testbed/index.ts';
import type { Previous } from './previous.ts';

export interface UpgradeBedOptions {
  readonly sites: number;
  readonly previous: Previous;
  readonly dir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Gets what has to be undone. */
  readonly cleanup: AsyncDisposableStack;
}

export interface UpgradeBed {
  readonly world: KindWorld;
  readonly sites: HollowSites;
  /** Folder of what the platform of each hollow site did. */
  readonly journals: string;
  readonly appInsts: Watching<AppInst>;
  readonly leases: Watching<Lease>;
  /** Names of the AppInsts that are changed meanwhile, each at a hollow site of its own. */
  readonly probes: readonly string[];
  /** The agent of the site of containers. */
  readonly agent: Component;
  /** What it got to join with. */
  readonly join: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** The version before, under this name on the node. */
export const previousTag = 'previous';
export const versionOf = ({ chart }: Previous): Version => ({ chart, tag: previousTag });

/** Sites with an instance that is changed meanwhile. */
const probeSites = 20;
/** The App of the site of containers. */
export const realApp = 'front';
const settledMs = 600_000;

export async function openUpgradeBed(options: UpgradeBedOptions): Promise<UpgradeBed> {
  const { previous, dir, progress, signal, cleanup } = options;
  process.env['CLOUDLET_KIND_BED'] = await startKindBed({
    ...{ dir, progress, signal, cleanup },
    async prepare(cluster) {
      await cluster.load(previous.image);
      await cluster.tag(
        `cloudlet-operator:${previous.version}`,
        `cloudlet-operator:${previousTag}`,
      );
    },
  });
  const world = await openKindWorld();
  cleanup.use(world);
  const seconds = await installToReady(world.bed, versionOf(previous));
  progress(`the version before is installed and ready after ${seconds.toFixed(1)} s`);
  const { agent, join: joined } = await joinContainers(world, previous);
  cleanup.defer(() => agent.stop());
  const journals = join(dir, 'journals');
  mkdirSync(journals, { recursive: true });
  const sites = await startHollowSites({
    ...{ region: world.bed, dir, signal, progress, count: options.sites, prefix: 'site' },
    ...{ relay: false, platform: { journals } },
  });
  cleanup.use(sites);
  const appInsts = await watching<AppInst>(sites.client, resourceTypes.AppInst, { signal });
  cleanup.use(appInsts);
  const leases = await watching<Lease>(sites.client, leaseType, {
    ...{ namespace: 'cloudlet-system', signal },
  });
  cleanup.use(leases);
  const probes = await fill(sites, appInsts);
  const bed = { world, sites, journals, appInsts, leases, probes, agent, join: joined };
  await allWell({ ...bed, progress, signal });
  progress(`${appInsts.cache.list().length} AppInsts are Ready at ${options.sites + 1} sites`);
  return { ...bed, progress, signal };
}

/** A site of phones with a container, by the agent of the version before. */
async function joinContainers(world: KindWorld, previous: Previous) {
  await world.applyCloudlet(site, 'DockerSwarm');
  const joined = await world.cloudlet('join', site);
  const agent = await phonesAgent(world, joined, previous.agent);
  await agent.start();
  await world.cloudletReady(site);
  const ports = [{ name: 'http', protocol: 'HTTP', port: 8080 }];
  await world.apply(...instanceAt(site, realApp, { image: world.images.web1, ports }));
  await world.appInstReady(realApp);
  return { agent, join: joined };
}

/** An instance a site, and at some one more. @returns the names of those. */
async function fill(
  { client, names }: HollowSites,
  appInsts: Watching<AppInst>,
): Promise<readonly string[]> {
  await applyApp(client, {});
  const wanted = names.map((name) => [`web-${name}`, name] as const);
  const probes = names.slice(0, probeSites).map((name) => [`probe-${name}`, name] as const);
  const apply = client.resource<AppInst>(resourceTypes.AppInst);
  await inParallel([...wanted, ...probes], appliesAtOnce, async ([name, at]) => {
    await apply.apply(appInstOf(name, at), { fieldManager: 'upgrade' });
    await appInsts.whenever(`${namespace}/${name}`, isReady, settledMs);
  });
  return probes.map(([name]) => name);
}

/** Every agent has its link, the region says so of every site, and every instance is Ready. */
export async function allWell(bed: UpgradeBed): Promise<void> {
  const { sites, appInsts, signal } = bed;
  await sites.connected(undefined, settledMs);
  await until(
    'every site and instance to be well',
    settledMs,
    () => {
      const away = sites.cloudlets.cache
        .list()
        .filter((one) => conditionOf(one, 'Ready')?.status !== 'True')
        .map(keyOf);
      const unready = appInsts.cache
        .list()
        .filter((one) => !isReady(one))
        .map(keyOf);
      expect(away.length === 0, `${away.length} sites are not Ready, such as ${away[0]}`);
      expect(unready.length === 0, `${unready.length} are not Ready, such as ${unready[0]}`);
    },
    { signal },
  );
}
