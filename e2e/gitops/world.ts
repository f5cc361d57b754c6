/**
 * The world of `npm run e2e:argocd`: two regions as users have them, each a control plane with the operator
 * and a hub; sites whose agents are real and whose platforms are in memory; a git repository made from
 * `examples/gitops`; and Argo CD, which lives in the first region and drives both.
 *
 * Guarantees: what the repository holds differs from the example in the URL of the repository alone; a site
 * can be cut off and come back with the same platform; everything goes with `stop`.
 */
import { join } from 'node:path';
import type { AppInst, Cloudlet } from '@cloudlet/crds';
import { FakePlatform } from '@cloudlet/drivers/fake';
import { resourceTypes } from '@cloudlet/operator';
import { NotFoundError, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  createClient,
  createInformer,
  type KubernetesClient,
  type KubernetesObject,
} from '@cloudlet/runtime/kubernetes';
import { startFakeAgent } from '../scenarios/hub-pair-world.ts';
import { type ArgoCD, argoNamespace, startArgoCD } from '../testbed/argocd/argocd.ts';
import type { ArgoPrograms } from '../testbed/argocd/programs.ts';
import { type GitFiles, type GitRepository, makeRepository } from '../testbed/argocd/repository.ts';
import {
  type ControlPlane,
  joinOf,
  type Progress,
  type Region,
  repositoryRoot,
  startControlPlane,
  startRegion,
} from '../testbed/index.ts';
import { HealthHistory } from './history.ts';

export const regionNames = ['eu-north', 'us-west'] as const;
export type RegionName = (typeof regionNames)[number];

export interface WorldRegion {
  readonly name: RegionName;
  readonly controlPlane: ControlPlane;
  readonly region: Region;
}

export interface GitOpsWorld {
  readonly programs: ArgoPrograms;
  readonly repository: GitRepository;
  readonly history: HealthHistory;
  readonly argo: ArgoCD;
  /** `region Kind name: reason` of each object that was ever stalled, also between two looks of Argo CD. */
  readonly stalled: readonly string[];
  /** Of Argo CD's own cluster. */
  readonly controlPlane: ControlPlane;
  region(name: RegionName): WorldRegion;
  /** Starts the agent of a site, with its join token or with what it kept. */
  connect(region: RegionName, site: string): Promise<void>;
  /** Ends the agent; its platform runs on. */
  cutOff(site: string): Promise<void>;
  platform(site: string): FakePlatform;
  /** Commits, and tells Argo CD as a webhook of the repository would. */
  commit(subject: string, change: (files: GitFiles) => void): Promise<void>;
  appInst(region: RegionName, key: string): Promise<AppInst | undefined>;
  cloudlet(region: RegionName, name: string): Promise<Cloudlet | undefined>;
  stop(): Promise<void>;
}

const exampleUrl = 'https://git.example/edge/gitops.git';
const withUrl = ['projects', 'platform', 'organizations'].map((name) => `argocd/${name}.yaml`);
/** Label by which the example knows a region. */
const regionLabel = 'edge.cloudlet.dev/region';
/** No registry has such an image. */
export const missingImage = 'registry.example/shop/web:no-such-tag';

export async function openGitOpsWorld(options: {
  readonly programs: ArgoPrograms;
  readonly dir: string;
  readonly progress: Progress;
}): Promise<GitOpsWorld> {
  const { programs, dir, progress } = options;
  await using stack = new AsyncDisposableStack();
  const regions = new Map<RegionName, WorldRegion>();
  for (const name of regionNames)
    regions.set(name, await openRegion(name, join(dir, name), stack, progress));
  const regionOf = (name: RegionName): WorldRegion => {
    const found = regions.get(name);
    if (!found) throw new Error(`no region ${name}`);
    return found;
  };
  const { controlPlane } = regionOf('eu-north');
  const repository = await makeRepository(
    join(dir, 'repository'),
    join(repositoryRoot, 'examples', 'gitops'),
    (files) =>
      withUrl.forEach((path) => files.replace(path, exampleUrl, `file://${dir}/repository`)),
  );
  const argo = await startArgoCD({
    ...{ programs, controlPlane, repository: repository.url, dir: join(dir, 'argocd') },
    clusters: [...regions.values()].map((each) => ({
      ...{ name: each.name, controlPlane: each.controlPlane },
      labels: { [regionLabel]: each.name },
    })),
  });
  stack.defer(() => argo.stop());
  progress('Argo CD runs: repo-server, application controller, ApplicationSet controller');
  const client = clientOf(controlPlane);
  stack.defer(() => client.close());
  const history = await HealthHistory.open(client);
  stack.use(history);
  const stalled: string[] = [];
  for (const each of regions.values()) stack.use(await watchStalled(each, stalled));
  const sites = new Sites(join(dir, 'sites'));
  stack.defer(() => sites.stop());
  const owned = stack.move();
  return {
    ...{ programs, repository, history, argo, stalled, controlPlane, region: regionOf },
    connect: async (region, site) => sites.connect(regionOf(region).controlPlane, site),
    cutOff: (site) => sites.cutOff(site),
    platform: (site) => sites.platform(site),
    async commit(subject, change) {
      await repository.commit(subject, change);
      await refresh(client);
    },
    appInst: (region, key) => read<AppInst>(regionOf(region), 'appinst', key),
    cloudlet: (region, name) => read<Cloudlet>(regionOf(region), 'cloudlet', name),
    stop: () => owned.disposeAsync(),
  };
}

async function openRegion(
  name: RegionName,
  dir: string,
  stack: AsyncDisposableStack,
  progress: Progress,
): Promise<WorldRegion> {
  const controlPlane = await startControlPlane({ dir: join(dir, 'controlplane'), progress });
  stack.defer(() => controlPlane.stop());
  const region = await startRegion({ controlPlane, dir: join(dir, 'processes'), access: false });
  stack.defer(() => region.stop());
  progress(`region ${name} runs`);
  return { name, controlPlane, region };
}

const clientOf = ({ kubeconfig }: ControlPlane): KubernetesClient =>
  createClient({ kubeconfig, logger: silentLogger, clock: systemClock, userAgent: 'gitops' });

/** Notes every object of a region that is stalled. */
async function watchStalled(region: WorldRegion, stalled: string[]): Promise<AsyncDisposable> {
  const client = clientOf(region.controlPlane);
  const stop = new AbortController();
  const informers = (['App', 'AppInst', 'Cluster', 'Cloudlet'] as const).map((kind) => {
    const informer = createInformer<AppInst>(client, resourceTypes[kind]);
    informer.subscribe((event) => {
      if (event.type === 'Deleted') return;
      const { metadata, status } = event.object;
      const condition = status?.conditions?.find(({ type }) => type === 'Stalled');
      if (condition) stalled.push(`${region.name} ${kind} ${metadata.name}: ${condition.reason}`);
    });
    return informer;
  });
  const running = Promise.all(informers.map((informer) => informer.run(stop.signal)));
  await Promise.all(informers.map((informer) => informer.synced()));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the stories are over'));
      await running;
      await client.close();
    },
  };
}

async function read<T>(
  { controlPlane }: WorldRegion,
  kind: string,
  key: string,
): Promise<T | undefined> {
  const [first = '', second] = key.split('/');
  const name = second === undefined ? [first] : [second, '--namespace', first];
  const text = await controlPlane.kubectl([
    ...['get', kind, ...name, '--ignore-not-found', '-o', 'json'],
  ]);
  return text.trim() === '' ? undefined : (JSON.parse(text) as T);
}

/** What a webhook has Argo CD do: look at the repository now, not within three minutes. */
async function refresh(client: KubernetesClient): Promise<void> {
  for (const [plural, annotation, value] of [
    ['applicationsets', 'argocd.argoproj.io/application-set-refresh', 'true'],
    ['applications', 'argocd.argoproj.io/refresh', 'normal'],
  ] as const) {
    const type = { group: 'argoproj.io', version: 'v1alpha1', plural, kind: '', namespaced: true };
    const resource = client.resource<KubernetesObject>(type);
    const { items } = await resource.list({ namespace: argoNamespace });
    for (const { metadata } of items)
      try {
        const patch = { metadata: { annotations: { [annotation]: value } } };
        await resource.mergePatch(metadata.name, argoNamespace, patch);
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error; // it goes, and needs no look
      }
  }
}

/** Agents of sites, and the platforms that outlive them. */
class Sites {
  readonly #dir: string;
  readonly #platforms = new Map<string, FakePlatform>();
  readonly #agents = new Map<
    string,
    { readonly stop: AbortController; readonly ended: Promise<void> }
  >();
  readonly #joins = new Map<string, string>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  platform(site: string): FakePlatform {
    const platform =
      this.#platforms.get(site) ??
      new FakePlatform({
        clock: systemClock,
        imageFate: (image) => (image === missingImage ? 'Missing' : 'Runs'),
        // Long enough that a roll-out passes through all its states.
        startMs: [1_500, 2_500],
      });
    this.#platforms.set(site, platform);
    return platform;
  }

  async connect(controlPlane: ControlPlane, site: string): Promise<void> {
    const join = this.#joins.get(site) ?? (await joinOf(controlPlane, site));
    this.#joins.set(site, join);
    const stop = new AbortController();
    const ended = startFakeAgent(`${this.#dir}-${site}`, join, this.platform(site), stop.signal);
    this.#agents.set(site, { stop, ended: ended.catch(() => undefined) });
  }

  async cutOff(site: string): Promise<void> {
    const agent = this.#agents.get(site);
    this.#agents.delete(site);
    agent?.stop.abort(new Error('the site is cut off'));
    await agent?.ended;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#agents.keys()].map((site) => this.cutOff(site)));
  }
}

/** Tasks of an AppInst that run at a site. */
export function runningAt(platform: FakePlatform, name: string): readonly string[] {
  return [...platform.instances.values()]
    .filter((instance) => instance.name.startsWith(`${name}-`))
    .flatMap(({ image, tasks }) =>
      tasks.filter(({ state }) => state === 'running').map(() => image),
    );
}
