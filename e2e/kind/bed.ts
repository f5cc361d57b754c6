/**
 * What the stories of kind are told on: a cluster with the product's images on its node, nothing installed
 * yet, and phones outside of it.
 *
 * Guarantees: everything is made on this machine, and taken away by `close`; what another process needs to
 * know of it is in one file.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownArchitecture, writeArchive } from '../images/oci.ts';
import { bundleOf, type Product, productImage, products } from '../images/product.ts';
import {
  type ControlPlane,
  ensureTools,
  formSwarm,
  freePorts,
  kubectlOf,
  openPhones,
  type Phones,
  phoneTools,
  type Progress,
  pushImages,
  startPhones,
} from '../testbed/index.ts';
import { takeLock } from '../run/steps/lock.ts';
import { ensureHelm, type Helm, helmOf } from '../testbed/helm/helm.ts';
import { type Cluster, createCluster, keepClusterLogs, nodePorts } from './cluster.ts';
import { type Engine, openEngine } from './engine.ts';
import { ensureNodeImage } from './node-image.ts';
import { wantedNodeImage } from './pull.ts';

/** A worker without an agent as well: sessions reach it by the helper. */
const phoneCount = 2;

export interface KindBed {
  readonly controlPlane: ControlPlane;
  readonly helm: Helm;
  readonly phones: Phones;
  /** Address of this machine that phones, pods and containers reach. */
  readonly host: string;
  /** Ports there that lead to the node's. */
  readonly ports: { readonly agents: number; readonly enroll: number };
  /** The agent's image, as phones pull it. */
  readonly agentImage: string;
  /** DOCKER_HOST and what belongs to it, of the engine of the node; it has the agent's image too. */
  readonly engineEnv: Engine['env'];
  readonly dir: string;
}

/** What a file tells another process of it. */
type Told = Pick<KindBed, 'host' | 'ports' | 'agentImage' | 'dir'> & {
  readonly engineEnv: Readonly<Record<string, string>>;
  readonly kubeconfig: string;
  readonly kubectlPath: string;
  readonly inventory: string;
};

export interface KindBedOptions {
  readonly dir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Gets what has to be undone, in the order in which it was done. */
  readonly cleanup: AsyncDisposableStack;
  /** Does something to the cluster before its node gets the product's images. */
  readonly prepare?: (cluster: Cluster, engine: Engine) => Promise<void>;
}

/** Brings all of it up. @returns the file for `openKindBed`. */
export async function startKindBed(options: KindBedOptions): Promise<string> {
  const { dir, progress, signal, cleanup } = options;
  cleanup.defer(await takeLock('e2e:kind'));
  await ensureTools(progress, phoneTools);
  await ensureHelm(progress);
  const engine = await openEngine(progress, signal);
  cleanup.defer(() => engine.stop());
  const image =
    (await wantedNodeImage(engine, progress)) ?? (await ensureNodeImage(engine, progress, signal));
  signal.throwIfAborted();
  const phones = await startPhones({
    ...{ count: phoneCount, prefix: 'nphone', net: '10.79.7', arm: false, progress },
  });
  cleanup.defer(() => phones.stop());
  await formSwarm(phones.phones, { managers: 1 });
  const [agents = 0, enroll = 0] = await freePorts(2, phones.hostIp);
  const cluster = await createCluster({
    ...{ engine, image, dir: join(dir, 'cluster'), host: phones.hostIp, progress, signal },
    ports: { [nodePorts.agents]: agents, [nodePorts.enroll]: enroll },
  });
  cleanup.defer(() => cluster.remove());
  await options.prepare?.(cluster, engine);
  const agentImage = await spreadImages({ cluster, engine, phones, dir, progress });
  const told: Told = {
    ...{ host: phones.hostIp, ports: { agents, enroll }, agentImage, dir },
    engineEnv: Object.fromEntries(
      Object.entries(engine.env).flatMap(([name, value]) => (value ? [[name, value]] : [])),
    ),
    ...{ kubeconfig: cluster.kubeconfig, kubectlPath: cluster.kubectlPath },
    inventory: phones.inventory,
  };
  const file = join(dir, 'bed.json');
  writeFileSync(file, JSON.stringify(told), { mode: 0o600 });
  return file;
}

interface Places {
  readonly cluster: Cluster;
  readonly engine: Engine;
  readonly phones: Phones;
  readonly dir: string;
  readonly progress: Progress;
}

/** Makes the product's images and gives them to who runs them. @returns the agent's name on the phones. */
async function spreadImages({ cluster, engine, phones, dir, progress }: Places): Promise<string> {
  mkdirSync(dir, { recursive: true });
  const image = async (product: Product) => {
    const made = await productImage(await bundleOf(product), ownArchitecture, { progress });
    const archive = join(dir, `${product}.tar`);
    await writeArchive([made], archive);
    progress(`giving ${made.name} to the node`);
    await cluster.load(archive);
    return { made, archive };
  };
  const [, agent] = [await image(products[0]), await image(products[1])];
  await engine.docker(['load', '--quiet', '--input', agent.archive], { timeoutMs: 120_000 });
  return (await pushImages(phones.registry, agent.made.name, [agent.made])).reference;
}

/** Keeps what the cluster of the bed logged, if there is one, before it is taken down, and says where. */
export async function keepBedLogs(progress: Progress): Promise<void> {
  const file = process.env['CLOUDLET_KIND_BED'];
  if (!file) return;
  const { controlPlane, engineEnv } = await openKindBed(file);
  const folder = await keepClusterLogs(controlPlane.kubectl, engineEnv);
  progress(`what the cluster logged is in ${folder}`);
}

/** The bed that another process started and takes down. */
export async function openKindBed(file: string): Promise<KindBed> {
  const told = JSON.parse(readFileSync(file, 'utf8')) as Told;
  const { kubeconfig, kubectlPath } = told;
  const kubectl = kubectlOf(kubectlPath, kubeconfig);
  const server = await kubectl(['config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}']);
  return {
    ...told,
    controlPlane: {
      ...{ provider: 'context', kubeconfig, kubectlPath, kubectl, server },
      stop: async () => undefined,
    },
    helm: await helmOf(kubeconfig),
    phones: openPhones(told.inventory),
  };
}
