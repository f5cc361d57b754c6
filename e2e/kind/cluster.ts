/**
 * A cluster of kind, from the repository's own configuration.
 *
 * Guarantees: has a name, an address and ports of its own, so that it stands beside a cluster that somebody
 * made from the same file; one that a killed run left under this name is removed first; the user's kubeconfig
 * is not touched.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandOptions, runCommand, UnreachableError } from '@cloudlet/runtime/base';
import { parse, stringify } from 'yaml';
import {
  type Kubectl,
  kubectlOf,
  type Progress,
  repositoryRoot,
  stateDir,
} from '../testbed/index.ts';
import type { Engine } from './engine.ts';
import { exportedBy, keepLogs } from './logs.ts';
import { ensurePrograms } from './programs.ts';

export const clusterName = 'cloudlet-e2e';

/** Ports of a node for agents and enrolment, as in kind-config.yaml. */
export const nodePorts = { agents: 30443, enroll: 30444 } as const;

export interface ClusterOptions {
  readonly engine: Engine;
  /** Of its nodes. */
  readonly image: string;
  /** Holds the kubeconfig. */
  readonly dir: string;
  /** Address of this machine that publishes the ports. */
  readonly host: string;
  /** Ports of this machine by those of the node. */
  readonly ports: Readonly<Record<number, number>>;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface Cluster {
  /** Of an administrator. */
  readonly kubeconfig: string;
  readonly kubectlPath: string;
  readonly kubectl: Kubectl;
  /** Gives an image archive to the node. */
  load(archive: string): Promise<void>;
  /** Gives an image of the node another name. */
  tag(image: string, name: string): Promise<void>;
  remove(): Promise<void>;
}

/** Makes the cluster and waits until its node is Ready. */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const { engine, image, dir, progress, signal } = options;
  const { kind = '', kubectl: kubectlPath = '' } = await ensurePrograms(['kind'], progress, signal);
  mkdirSync(dir, { recursive: true });
  const kubeconfig = join(dir, 'kubeconfig');
  const env = { ...engine.env, ...withoutProxy, KUBECONFIG: kubeconfig };
  const run = (args: readonly string[], timeoutMs: number, more: CommandOptions = {}) =>
    runCommand(kind, [...args, '--name', clusterName], { env, timeoutMs, ...more });
  const remove = async (): Promise<void> => void (await run(['delete', 'cluster'], 120_000));
  await remove();
  const config = join(dir, 'kind-config.yaml');
  writeFileSync(config, configOf(options));
  const kubectl = kubectlOf(kubectlPath, kubeconfig);
  progress(`creating the cluster ${clusterName} with kind`);
  const create = ['create', 'cluster', '--image', image, '--config', config];
  try {
    await run([...create, '--kubeconfig', kubeconfig, '--wait', '180s', '--retain'], 420_000, {
      signal,
    });
    await kubectl(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=5s']);
    const load = ['load', 'image-archive'];
    const ctr = ['exec', `${clusterName}-control-plane`, 'ctr', '--namespace', 'k8s.io'];
    const full = (name: string): string => `docker.io/library/${name}`;
    return {
      ...{ kubeconfig, kubectlPath, kubectl, remove },
      load: async (archive) => void (await run([...load, archive], 300_000)),
      tag: async (name, other) =>
        void (await engine.docker([...ctr, 'images', 'tag', '--force', full(name), full(other)])),
    };
  } catch (cause) {
    const nodeLogs = exportedBy(kind, clusterName, env);
    if (!signal.aborted) await keepLogs({ kubectl, nodeLogs, folder: logsFolder() });
    await remove();
    signal.throwIfAborted();
    const message = `the cluster does not come up; what it logged is in ${logsFolder()}`;
    throw new UnreachableError(message, { cause });
  }
}

/** Keeps what the cluster of a run logged, before it is taken down. @returns where. */
export async function keepClusterLogs(kubectl: Kubectl, engineEnv: Engine['env']): Promise<string> {
  const { kind = '' } = await ensurePrograms(['kind']);
  const nodeLogs = exportedBy(kind, clusterName, { ...engineEnv, ...withoutProxy });
  await keepLogs({ kubectl, nodeLogs, folder: logsFolder() });
  return logsFolder();
}

const logsFolder = (): string => stateDir('kind', 'logs');

/** kind would hand a proxy on to the node, where everything is near. */
const withoutProxy = Object.fromEntries(
  ['http_proxy', 'https_proxy', 'no_proxy'].flatMap((name) => [
    [name, undefined],
    [name.toUpperCase(), undefined],
  ]),
);

interface KindConfig {
  readonly nodes: readonly {
    readonly extraPortMappings: readonly { readonly containerPort: number }[];
  }[];
}

/** The configuration with the address and the ports that were asked for. */
export function configOf({ host, ports }: Pick<ClusterOptions, 'host' | 'ports'>): string {
  const file = join(repositoryRoot, 'kind-config.yaml');
  const config = parse(readFileSync(file, 'utf8')) as KindConfig;
  const nodes = config.nodes.map((node) => ({
    ...node,
    extraPortMappings: node.extraPortMappings.map(({ containerPort }) => ({
      listenAddress: host,
      hostPort: ports[containerPort],
      containerPort,
    })),
  }));
  return stringify({ ...config, nodes });
}
