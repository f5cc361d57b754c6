/**
 * The embedded control plane: etcd, kube-apiserver and kube-controller-manager as processes of this machine.
 *
 * Guarantees: the real programs with aggregation, RBAC and admission as in a cluster; bound to the loopback
 * address on ports of its own; each part can be killed and started again on the same data. There are no
 * nodes: no scheduler and no kubelet, and the controllers that serve pods are off.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ControlPlaneBinaries, ensureControlPlaneBinaries } from '../binaries.ts';
import { freePorts, repositoryRoot } from '../host.ts';
import { type Component, componentOf } from '../component.ts';
import { type ProcessOptions, until } from '../process.ts';
import { noProgress, type Progress } from '../progress.ts';
import { controlPlaneTools, ensureTools } from '../tools.ts';
import { type Certificates, ensureCertificates } from './certificates.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import { type Kubectl, kubectlOf } from './kubectl.ts';

export interface ControlPlane {
  readonly provider: 'embedded' | 'context';
  /** Path of a kubeconfig of an administrator. */
  readonly kubeconfig: string;
  readonly server: string;
  readonly kubectl: Kubectl;
  /** Path of the kubectl program. */
  readonly kubectlPath: string;
  stop(): Promise<void>;
}

export interface EmbeddedControlPlane extends ControlPlane {
  readonly provider: 'embedded';
  readonly etcd: Component;
  /** Of etcd's clients, without TLS. */
  readonly etcdUrl: string;
  readonly apiserver: Component;
  readonly controllerManager: Component;
  /** Path of the audit log, if it keeps one. */
  readonly auditLog: string | undefined;
}

export interface EmbeddedOptions {
  /** Holds data, certificates, logs and the kubeconfig. */
  readonly dir: string;
  /** More flags of the API server. */
  readonly apiserverFlags?: readonly string[];
  /** Growth of the API server's heap until it is collected, in percent (GOGC). @default 100 */
  readonly apiserverGcPercent?: number;
  /** Whether it keeps an audit log of our kinds. @default false */
  readonly audit?: boolean;
  readonly progress?: Progress;
}

const controllers = [
  'namespace-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
  'garbage-collector-controller',
  'resourcequota-controller',
  'clusterrole-aggregation-controller',
  'certificatesigningrequest-cleaner-controller',
  'validatingadmissionpolicy-status-controller',
];

export async function startEmbedded(options: EmbeddedOptions): Promise<EmbeddedControlPlane> {
  const { dir, progress = noProgress } = options;
  await ensureTools(progress, controlPlaneTools);
  const binaries = await ensureControlPlaneBinaries(progress);
  const certificates = await ensureCertificates(join(dir, 'pki'));
  const [secure = 0, client = 0, peer = 0] = await freePorts(3);
  const server = `https://127.0.0.1:${secure}`;
  const kubeconfig = join(dir, 'kubeconfig');
  writeKubeconfig(kubeconfig, {
    server,
    certificateAuthority: readFileSync(certificates.path('ca.crt'), 'utf8'),
    user: {
      certificate: readFileSync(certificates.path('admin.crt'), 'utf8'),
      key: readFileSync(certificates.path('admin.key'), 'utf8'),
    },
  });
  const kubectl = kubectlOf(binaries.kubectl, kubeconfig);
  const ports = { secure, client, peer };
  const layout: Layout = { dir, binaries, certificates, ports, kubectl, kubeconfig };
  const etcd = componentOf(etcdProcess(layout));
  const auditLog = options.audit ? join(dir, 'logs', 'audit.log') : undefined;
  const { apiserverFlags = [], apiserverGcPercent = 100 } = options;
  const apiserver = componentOf({
    ...apiserverProcess(layout, [...auditFlags(auditLog), ...apiserverFlags]),
    env: { GOGC: String(apiserverGcPercent) },
  });
  const controllerManager = componentOf(controllerManagerProcess(layout));
  const parts = [etcd, apiserver, controllerManager];
  const stop = async (): Promise<void> => {
    for (const part of parts.toReversed()) await part.stop();
  };
  try {
    for (const part of parts) await part.start();
    await defaultNamespaceReady(kubectl);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    provider: 'embedded',
    kubeconfig,
    server,
    kubectl,
    kubectlPath: binaries.kubectl,
    etcd,
    etcdUrl: `http://127.0.0.1:${client}`,
    apiserver,
    controllerManager,
    auditLog,
    stop,
  };
}

interface Layout {
  readonly dir: string;
  readonly binaries: ControlPlaneBinaries;
  readonly certificates: Certificates;
  readonly ports: { readonly secure: number; readonly client: number; readonly peer: number };
  readonly kubectl: Kubectl;
  readonly kubeconfig: string;
}

function etcdProcess({ dir, binaries, ports }: Layout): ProcessOptions {
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  return {
    name: 'etcd',
    command: binaries.etcd,
    args: [
      ...['--data-dir', join(dir, 'etcd'), '--unsafe-no-fsync', '--log-level', 'error'],
      ...['--listen-client-urls', url(ports.client), '--advertise-client-urls', url(ports.client)],
      ...['--listen-peer-urls', url(ports.peer), '--initial-advertise-peer-urls', url(ports.peer)],
      ...['--initial-cluster', `default=${url(ports.peer)}`],
    ],
    logFile: join(dir, 'logs', 'etcd.log'),
    ready: async (signal) => {
      const response = await fetch(`${url(ports.client)}/health`, { signal });
      if (!response.ok) throw new Error(`etcd says ${response.status}`);
    },
    readyWithinMs: 60_000,
  };
}

function auditFlags(log: string | undefined): readonly string[] {
  if (log === undefined) return [];
  const policy = join(repositoryRoot, 'operator', 'manifests', 'audit', 'policy.yaml');
  return [`--audit-policy-file=${policy}`, `--audit-log-path=${log}`];
}

function apiserverProcess(layout: Layout, more: readonly string[]): ProcessOptions {
  const { dir, binaries, certificates, ports, kubectl } = layout;
  const flags: Record<string, string> = {
    'etcd-servers': `http://127.0.0.1:${ports.client}`,
    'secure-port': String(ports.secure),
    'bind-address': '127.0.0.1',
    'advertise-address': '127.0.0.1',
    'endpoint-reconciler-type': 'none',
    'tls-cert-file': certificates.path('apiserver.crt'),
    'tls-private-key-file': certificates.path('apiserver.key'),
    'client-ca-file': certificates.path('ca.crt'),
    'authorization-mode': 'RBAC',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-key-file': certificates.path('sa.key'),
    'service-account-signing-key-file': certificates.path('sa.key'),
    'service-cluster-ip-range': '10.0.0.0/24',
    'requestheader-client-ca-file': certificates.path('front-proxy-ca.crt'),
    'requestheader-allowed-names': 'front-proxy-client',
    'requestheader-username-headers': 'X-Remote-User',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'proxy-client-cert-file': certificates.path('front-proxy-client.crt'),
    'proxy-client-key-file': certificates.path('front-proxy-client.key'),
    // A Service of type ExternalName stands for an aggregated API that runs beside the API server.
    'enable-aggregator-routing': 'false',
    'shutdown-delay-duration': '0s',
  };
  return {
    name: 'kube-apiserver',
    command: binaries['kube-apiserver'],
    args: [...Object.entries(flags).map(([name, value]) => `--${name}=${value}`), ...more],
    logFile: join(dir, 'logs', 'kube-apiserver.log'),
    ready: (signal) => kubectl(['get', '--raw', '/readyz'], { signal }),
    readyWithinMs: 120_000,
    stopWithinMs: 20_000,
  };
}

function controllerManagerProcess(layout: Layout): ProcessOptions {
  const { dir, binaries, certificates, kubeconfig } = layout;
  const flags: Record<string, string> = {
    kubeconfig,
    controllers: controllers.join(','),
    'service-account-private-key-file': certificates.path('sa.key'),
    'root-ca-file': certificates.path('ca.crt'),
    'use-service-account-credentials': 'false',
    'leader-elect': 'false',
    'secure-port': '0',
  };
  return {
    name: 'kube-controller-manager',
    command: binaries['kube-controller-manager'],
    args: Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
    logFile: join(dir, 'logs', 'kube-controller-manager.log'),
  };
}

/** The controller manager works once it has given the first namespace its service account. */
async function defaultNamespaceReady(kubectl: Kubectl): Promise<void> {
  await until('the service account of namespace default', 60_000, (signal) =>
    kubectl(['get', 'serviceaccount', 'default', '--namespace', 'default'], { signal }),
  );
}
