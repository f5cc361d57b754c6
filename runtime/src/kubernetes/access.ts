/**
 * How to reach an API server and as whom: kubeconfig or the pod's service account, read by client-node.
 *
 * Guarantees: token and CA files, exec plug-ins and OIDC tokens are looked at again every 10 s of use, so a
 * rotated token or CA needs no restart; after a 401 everything is read anew at once. Credentials never leave
 * this module but as request headers and TLS options.
 */
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { type Clock, TerminalError, describeError } from '../base/index.ts';

export interface AccessOptions {
  /** Path of a kubeconfig file. @default `$KUBECONFIG`, `~/.kube/config`, then the pod's service account */
  readonly kubeconfig?: string;
  /** A context of it. @default its current one */
  readonly context?: string;
  /** Use the pod's service account, whatever kubeconfig there is. @default false */
  readonly inCluster?: boolean;
}

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
}

export interface ClusterAccess {
  readonly server: string;
  /** The context's namespace, if it names one. */
  readonly namespace: string | undefined;
  readonly proxyUrl: string | undefined;
  /** `fresh` reads everything anew: the server refused what we had. */
  credentials(fresh?: boolean): Promise<Credentials>;
}

const credentialsAgeMs = 10_000;
/** A server that refuses every call does not make us run an exec plug-in for each. */
const leastAgeMs = 1_000;

/**
 * Loads the configuration.
 * @throws TerminalError (`InvalidKubeconfig`) when there is none or it names no cluster.
 */
export function loadKubeConfig(options: AccessOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (options.inCluster) config.loadFromCluster();
    else if (options.kubeconfig) config.loadFromFile(options.kubeconfig);
    else config.loadFromDefault();
  } catch (cause) {
    const source = options.kubeconfig ?? 'the default kubeconfig';
    throw new TerminalError('InvalidKubeconfig', `cannot read ${source}`, { cause });
  }
  if (options.context) config.setCurrentContext(options.context);
  const cluster = config.getCurrentCluster();
  if (!cluster || !URL.canParse(cluster.server)) {
    const context = config.getCurrentContext() || 'no current context';
    throw new TerminalError('InvalidKubeconfig', `no API server in the kubeconfig (${context})`);
  }
  return config;
}

export function openAccess(options: AccessOptions, clock: Clock): ClusterAccess {
  let config = loadKubeConfig(options);
  const cluster = config.getCurrentCluster();
  let cached: { readonly at: number; readonly value: Promise<Credentials> } | undefined;
  return {
    server: (cluster?.server ?? '').replace(/\/+$/, ''),
    namespace: config.getContextObject(config.getCurrentContext())?.namespace || undefined,
    proxyUrl: cluster?.proxyUrl || undefined,
    credentials(fresh = false) {
      const now = clock.monotonic();
      if (cached && now - cached.at < (fresh ? leastAgeMs : credentialsAgeMs)) return cached.value;
      // A new KubeConfig forgets the token that an exec plug-in gave, which the old one keeps to its end.
      if (fresh) config = loadKubeConfig(options);
      const value = readCredentials(config);
      cached = { at: now, value };
      value.catch(() => (cached = undefined));
      return value;
    },
  };
}

async function readCredentials(config: KubeConfig): Promise<Credentials> {
  // client-node refuses plain HTTP unless TLS checks are off; without TLS the setting means nothing.
  config.clusters = config.clusters.map((cluster) =>
    cluster.server.startsWith('http:') ? { ...cluster, skipTLSVerify: true } : cluster,
  );
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    throw new TerminalError(
      'InvalidCredentials',
      `cannot load the credentials of the kubeconfig: ${describeError(cause)}`,
      { cause },
    );
  }
  const headers = { ...(options.headers as Record<string, string> | undefined) };
  if (options.auth)
    headers['Authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  return { headers, tls: tlsOf(options) };
}

function tlsOf(options: RequestOptions): TlsOptions {
  const text = (value: unknown): string => (value as Buffer | string).toString();
  return {
    ...(options.ca && { ca: text(options.ca) }),
    ...(options.cert && { cert: text(options.cert) }),
    ...(options.key && { key: text(options.key) }),
    ...(options.servername && { servername: options.servername }),
    ...(options.rejectUnauthorized === false && { rejectUnauthorized: false }),
  };
}
