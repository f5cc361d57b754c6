/**
 * The scale bed: an API server with etcd, two operators, a hub, and hollow sites, all as processes of this
 * machine; one App; and a view of its AppInsts as they change.
 *
 * Guarantees: nothing of the region is simulated; all that is measured is seen from outside: by a watch of
 * the API server, by the platforms of the sites, and in /proc.
 */
import { join } from 'node:path';
import { type AppInst, groupVersion } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { bundleOperator } from '@cloudlet/operator/bundle';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import {
  type EmbeddedControlPlane,
  type Progress,
  type Region,
  startControlPlane,
  startRegion,
} from '../testbed/index.ts';
import { metricBy, metricSum } from './figures.ts';
import { type HollowSites, startHollowSites } from './hollow.ts';
import { machineMs } from './hollow-messages.ts';
import { type Sampler, startSampler } from './sampler.ts';
import { inParallel, keyOf, type Watching, watching } from './watching.ts';

export interface BedOptions {
  readonly sites: number;
  readonly perProcess: number;
  readonly enrol: 'minted' | 'joined';
  /** Whether links can be cut. */
  readonly relay: boolean;
  readonly dir: string;
  /** Folder for processor profiles of the region's processes. */
  readonly profiles?: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface ApiServerState {
  readonly requests: number;
  /** By verb, resource and subresource. */
  readonly calls: ReadonlyMap<string, number>;
  readonly storeMib: number;
}

export interface ScaleBed extends AsyncDisposable {
  readonly options: BedOptions;
  readonly controlPlane: EmbeddedControlPlane;
  readonly region: Region;
  readonly client: KubernetesClient;
  readonly hollow: HollowSites;
  readonly appInsts: Watching<AppInst>;
  readonly sampler: Sampler;
  /** Keys of AppInsts that are Ready at their generation, with when they became so. */
  readonly ready: ReadonlyMap<string, number>;
  /** Applies AppInsts, one a name, spread over the sites in turn; resolves when all are applied. */
  apply(names: readonly string[]): Promise<ReadonlyMap<string, number>>;
  appSpec(env: Readonly<Record<string, string>>): Promise<void>;
  /** Calls of the API server so far, of all its clients; bytes of the store. */
  apiServer(): Promise<ApiServerState>;
}

export const namespace = 'default';
export const appName = 'web';
/**
 * All share the machine's few cores, of which collecting garbage takes the API server more than a quarter at
 * the default: it is given memory instead, as a control plane of this size is.
 */
const apiserverGcPercent = 400;

/** As many as an administrator's tools keep busy; the API server of two cores takes no more. */
export const appliesAtOnce = 16;

export async function openBed(options: BedOptions): Promise<ScaleBed> {
  const { dir, progress, signal, sites } = options;
  await using stack = new AsyncDisposableStack();
  const controlPlane = await startControlPlane({
    ...{ dir: join(dir, 'controlplane'), progress, apiserverGcPercent },
  });
  stack.defer(() => controlPlane.stop());
  // As it ships: what strips types from the sources while they load takes memory that no region has.
  const { entry } = await bundleOperator(join(dir, 'bundle'));
  const profiling = options.profiles && `--cpu-prof --cpu-prof-dir=${options.profiles}`;
  const region = await startRegion({
    ...{ controlPlane, dir: join(dir, 'region'), access: false, progress },
    replicas: { operator: 2 },
    entry,
    logLevel: 'warn',
    ...(profiling && { env: { NODE_OPTIONS: profiling } }),
  });
  stack.defer(() => region.stop());
  const hollow = await startHollowSites({
    ...{ region, dir, signal, progress, count: sites, start: false },
    ...{ perProcess: options.perProcess, enrol: options.enrol, relay: options.relay },
    prefix: 'site',
  });
  stack.use(hollow);
  const { client } = hollow;
  const appInsts = await watching<AppInst>(client, resourceTypes.AppInst, { signal });
  stack.use(appInsts);
  const sampler = startSampler(watchedOf(controlPlane, region, hollow));
  stack.defer(() => sampler.stop());
  const ready = readyOf(appInsts);
  sampler.gauge('AppInsts ready', () => ready.size);
  await applyApp(client, {});
  const owned = stack.move();
  return {
    ...{ options, controlPlane, region, client, hollow, appInsts, sampler, ready },
    apply: (names) => applyAll(client, hollow.names, names),
    appSpec: (env) => applyApp(client, env),
    apiServer: () => apiServerOf(client),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function watchedOf(controlPlane: EmbeddedControlPlane, region: Region, hollow: HollowSites) {
  const one = (name: string, part: { readonly pid: number | undefined }) => ({
    name,
    pids: () => (part.pid === undefined ? [] : [part.pid]),
  });
  return [
    one('etcd', controlPlane.etcd),
    one('kube-apiserver', controlPlane.apiserver),
    ...region.operators.map((operator) => one(operator.name, operator)),
    ...region.hubs.map((hub) => one(hub.name, hub)),
    { name: 'sites', pids: () => hollow.processes.map(({ pid }) => pid) },
    { name: 'this bed', pids: () => [process.pid] },
  ];
}

export const isReady = ({ metadata, status }: AppInst): boolean => {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.status === 'True' && ready.observedGeneration === metadata.generation;
};

function readyOf(appInsts: Watching<AppInst>): ReadonlyMap<string, number> {
  const ready = new Map<string, number>();
  appInsts.informer.subscribe(({ type, object }) => {
    const key = keyOf(object);
    if (type === 'Deleted' || !isReady(object)) ready.delete(key);
    else if (!ready.has(key)) ready.set(key, machineMs());
  });
  return ready;
}

/** The App of all instances of hollow sites. */
export async function applyApp(
  client: KubernetesClient,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  await client.resource(resourceTypes.App).apply(
    {
      apiVersion: groupVersion,
      kind: 'App',
      metadata: { name: appName, namespace },
      spec: {
        version: '1',
        deployment: 'Docker',
        image: 'web:1',
        env: Object.entries(env).map(([name, value]) => ({ name, value })),
        ports: [{ name: 'http', protocol: 'HTTP', port: 8080 }],
      },
    } as never,
    { fieldManager: 'scale' },
  );
}

async function applyAll(
  client: KubernetesClient,
  sites: readonly string[],
  names: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const applied = new Map<string, number>();
  const appInsts = client.resource<AppInst>(resourceTypes.AppInst);
  await inParallel(names, appliesAtOnce, async (name, index) => {
    applied.set(`${namespace}/${name}`, machineMs());
    await appInsts.apply(appInstOf(name, sites[index % sites.length] ?? ''), {
      fieldManager: 'scale',
    });
  });
  return applied;
}

export const appInstOf = (name: string, site: string) => ({
  apiVersion: groupVersion,
  kind: 'AppInst' as const,
  metadata: { name, namespace },
  spec: { appRef: { name: appName }, cloudletRef: { name: site }, replicas: 1 },
});

async function apiServerOf(client: KubernetesClient): Promise<ApiServerState> {
  const text = String(await client.request('GET', '/metrics', { timeoutMs: 60_000 }));
  return {
    requests: metricSum(text, 'apiserver_request_total'),
    calls: metricBy(text, 'apiserver_request_total', ['verb', 'resource', 'subresource']),
    storeMib: metricSum(text, 'apiserver_storage_size_bytes') / 2 ** 20,
  };
}
