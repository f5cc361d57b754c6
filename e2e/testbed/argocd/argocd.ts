/**
 * Argo CD beside a control plane: repo-server, application controller and ApplicationSet controller as
 * processes, with Redis for their cache. There is no argocd-server: nothing here needs its pages or logins.
 *
 * Guarantees: each listens on the loopback address on a port of its own and ends with this process; nothing
 * of this user's git or Redis configuration is read; the health of each resource stands in the Application.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type Component, componentOf } from '../component.ts';
import type { ControlPlane } from '../controlplane/embedded.ts';
import { freePorts, repositoryRoot } from '../host.ts';
import { type ProcessOptions, until } from '../process.ts';
import type { ArgoPrograms } from './programs.ts';

export const argoNamespace = 'argocd';

export interface ArgoOptions {
  readonly programs: ArgoPrograms;
  /** Where its Applications are. */
  readonly controlPlane: ControlPlane;
  /** Clusters that it is to know, by name, with the labels of their Secrets. */
  readonly clusters: readonly ArgoCluster[];
  /** URL of a repository that it may read. */
  readonly repository: string;
  /** Holds logs and caches. */
  readonly dir: string;
}

export interface ArgoCluster {
  readonly name: string;
  readonly controlPlane: ControlPlane;
  readonly labels: Readonly<Record<string, string>>;
}

export interface ArgoCD {
  readonly processes: readonly Component[];
  stop(): Promise<void>;
}

export async function startArgoCD(options: ArgoOptions): Promise<ArgoCD> {
  await install(options);
  const ports = await freePorts(8);
  const processes = partsOf(options, ports).map((part) => componentOf(part));
  const stop = async (): Promise<void> => {
    await Promise.all(processes.map((process) => process.stop()));
  };
  try {
    await Promise.all(processes.map((process) => process.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { processes, stop };
}

/** What its own installation makes, as far as these processes read it. */
async function install(options: ArgoOptions): Promise<void> {
  const { controlPlane, programs, clusters } = options;
  const { kubectl } = controlPlane;
  const apply = ['apply', '--server-side', '--force-conflicts'];
  for (const name of ['application', 'applicationset', 'appproject'])
    await kubectl([...apply, '-f', join(programs.crds, `${name}-crd.yaml`)]);
  await kubectl(['create', 'namespace', argoNamespace]);
  const secrets = await Promise.all(clusters.map(clusterSecret));
  const items = [...configuration(), repositorySecret(options.repository), ...secrets];
  const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
  await kubectl([...apply, '-f', '-'], { input });
  // The health checks, as the documentation says to apply them.
  const checks = join(repositoryRoot, 'operator', 'argocd', 'argocd-cm.yaml');
  await kubectl(['apply', '--server-side', '-f', checks]);
  for (const plural of ['applications', 'applicationsets', 'appprojects'])
    await until(`${plural} to be served`, 60_000, (signal) =>
      kubectl(['get', `${plural}.argoproj.io`, '--all-namespaces'], { signal }),
    );
}

const metadata = (name: string, labels: object = {}): object => ({
  name,
  namespace: argoNamespace,
  labels: { 'app.kubernetes.io/part-of': 'argocd', ...labels },
});

function configuration(): readonly object[] {
  const configMaps = ['argocd-rbac-cm', 'argocd-ssh-known-hosts-cm', 'argocd-tls-certs-cm'];
  return [
    ...[...configMaps, 'argocd-gpg-keys-cm', 'argocd-cm'].map((name) => ({
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(name) },
    })),
    {
      ...{ apiVersion: 'v1', kind: 'Secret', metadata: metadata('argocd-secret') },
      stringData: { 'server.secretkey': 'of no use without argocd-server' },
    },
  ];
}

const repositorySecret = (url: string): object => ({
  ...{ apiVersion: 'v1', kind: 'Secret' },
  metadata: metadata('repository', { 'argocd.argoproj.io/secret-type': 'repository' }),
  stringData: { type: 'git', url },
});

interface Kubeconfig {
  readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
}

async function clusterSecret({ name, controlPlane, labels }: ArgoCluster): Promise<object> {
  const text = readFileSync(controlPlane.kubeconfig, 'utf8');
  const { clusters, users } = parse(text) as Kubeconfig;
  const tlsClientConfig = {
    caData: clusters[0]?.cluster['certificate-authority-data'],
    certData: users[0]?.user['client-certificate-data'],
    keyData: users[0]?.user['client-key-data'],
  };
  return {
    ...{ apiVersion: 'v1', kind: 'Secret' },
    metadata: metadata(`cluster-${name}`, {
      ...labels,
      'argocd.argoproj.io/secret-type': 'cluster',
    }),
    stringData: { name, server: controlPlane.server, config: JSON.stringify({ tlsClientConfig }) },
  };
}

function partsOf({ programs, controlPlane, dir }: ArgoOptions, ports: readonly number[]) {
  const [redis = 0, repo = 0, repoMetrics = 0, controller = 0, sets = 0, probe = 0, hook = 0] =
    ports;
  const folder = (name: string): string => {
    mkdirSync(join(dir, name), { recursive: true });
    return join(dir, name);
  };
  const env = {
    KUBECONFIG: controlPlane.kubeconfig,
    PATH: `${programs.path}:${process.env['PATH'] ?? ''}`,
    HOME: folder('home'),
    TMPDIR: folder('tmp'),
    GIT_CONFIG_NOSYSTEM: '1',
    ARGOCD_GPG_ENABLED: 'false',
    ARGOCD_TLS_DATA_PATH: folder('tls'),
    ARGOCD_SSH_DATA_PATH: folder('ssh'),
  };
  const cache = ['--redis', `127.0.0.1:${redis}`];
  const of = (
    name: string,
    port: number,
    args: readonly string[],
    command = programs.argocd,
  ): ProcessOptions => ({
    ...{ name, command, args, env, cwd: dir, logFile: join(dir, 'logs', `${name}.log`) },
    ready: (signal) => connects(port, signal),
    readyWithinMs: 120_000,
  });
  const repoServer = ['--repo-server-plaintext', '--namespace', argoNamespace];
  return [
    of(
      'redis',
      redis,
      ['--bind', '127.0.0.1', '--port', String(redis), '--save', '', '--appendonly', 'no'],
      'redis-server',
    ),
    of('argocd-repo-server', repo, [
      'argocd-repo-server',
      ...['--address', '127.0.0.1', '--port', String(repo), '--disable-tls', ...cache],
      ...['--metrics-address', '127.0.0.1', '--metrics-port', String(repoMetrics)],
    ]),
    of('argocd-application-controller', controller, [
      'argocd-application-controller',
      ...['--metrics-port', String(controller), '--persist-resource-health', ...cache],
      ...['--repo-server', `127.0.0.1:${repo}`, ...repoServer],
    ]),
    of('argocd-applicationset-controller', probe, [
      'argocd-applicationset-controller',
      ...['--metrics-addr', `127.0.0.1:${sets}`, '--probe-addr', `127.0.0.1:${probe}`],
      ...['--webhook-addr', `127.0.0.1:${hook}`],
      ...['--argocd-repo-server', `127.0.0.1:${repo}`, ...repoServer],
    ]),
  ];
}

/** Somebody listens there. */
function connects(port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: '127.0.0.1', port, signal });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
  });
}
