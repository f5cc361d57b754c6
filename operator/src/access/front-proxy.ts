/**
 * Whom to believe: the API server's front proxy, by the authority and names that Kubernetes publishes in the
 * ConfigMap `kube-system/extension-apiserver-authentication`.
 *
 * Guarantees: a user named in a header counts only from a peer whose certificate that authority signed and,
 * where names are published, carries one of them; everybody else is nobody. Changes are taken up within a
 * minute; a ConfigMap that cannot be read leaves the last good one in force.
 */
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { type Clock, InvalidError, type Logger, retry } from '@cloudlet/runtime/base';
import type {
  KubernetesClient,
  KubernetesObject,
  ResourceType,
} from '@cloudlet/runtime/kubernetes';
import { z } from 'zod';

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

const configMapType: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};

export interface FrontProxyTrust {
  /** PEM of the authority that signs front proxies. */
  readonly ca: string;
  /** Empty: any that the authority signed. */
  readonly allowedNames: readonly string[];
  readonly userHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
}

export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

const names = z.array(z.string());

/** @throws InvalidError when the API server runs without an aggregation layer. */
export function trustOf(data: Readonly<Record<string, string>> | undefined): FrontProxyTrust {
  const ca = data?.['requestheader-client-ca-file'];
  if (!ca) throw new InvalidError('the API server publishes no authority of front proxies');
  const list = (key: string): readonly string[] => names.parse(JSON.parse(data[key] ?? '[]'));
  const userHeaders = list('requestheader-username-headers');
  return {
    ca,
    allowedNames: list('requestheader-allowed-names'),
    userHeaders: userHeaders.length > 0 ? userHeaders : ['X-Remote-User'],
    groupHeaders: list('requestheader-group-headers'),
  };
}

/** The user that the front proxy vouches for; undefined for any other peer. */
export function userOf(request: IncomingMessage, trust: FrontProxyTrust): User | undefined {
  const socket = request.socket as TLSSocket;
  if (!socket.authorized) return undefined;
  const subject = socket.getPeerCertificate().subject as { CN?: string | string[] } | undefined;
  const commonName = subject?.CN;
  if (typeof commonName !== 'string') return undefined;
  if (trust.allowedNames.length > 0 && !trust.allowedNames.includes(commonName)) return undefined;
  const [name] = trust.userHeaders.flatMap((header) => valuesOf(request, header));
  if (!name) return undefined;
  return { name, groups: trust.groupHeaders.flatMap((header) => valuesOf(request, header)) };
}

function valuesOf(request: IncomingMessage, header: string): readonly string[] {
  return request.headersDistinct[header.toLowerCase()] ?? [];
}

export interface FrontProxyOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

const pollMs = 60_000;

export class FrontProxy {
  readonly #options: FrontProxyOptions;
  readonly #handlers = new Set<(trust: FrontProxyTrust) => void>();
  #current: FrontProxyTrust;

  private constructor(options: FrontProxyOptions, first: FrontProxyTrust) {
    this.#options = options;
    this.#current = first;
  }

  static async open(options: FrontProxyOptions, signal: AbortSignal): Promise<FrontProxy> {
    const { clock, logger } = options;
    const first = await retry(() => read(options.client, signal), {
      ...{ clock, signal, baseMs: 200, maxMs: 10_000 },
      onRetry: (error) => logger.warn('cannot read whom the API server trusts', { error }),
    });
    return new FrontProxy(options, first);
  }

  get current(): FrontProxyTrust {
    return this.#current;
  }

  onChange(handler: (trust: FrontProxyTrust) => void): void {
    this.#handlers.add(handler);
  }

  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, logger } = this.#options;
    while (!signal.aborted) {
      try {
        await clock.sleep(pollMs, signal);
        const next = await read(client, signal);
        if (JSON.stringify(next) === JSON.stringify(this.#current)) continue;
        this.#current = next;
        logger.info('the API server changed whom to trust');
        for (const handler of this.#handlers) handler(next);
      } catch (error) {
        if (!signal.aborted) logger.warn('cannot read whom the API server trusts', { error });
      }
    }
  }
}

async function read(client: KubernetesClient, signal: AbortSignal): Promise<FrontProxyTrust> {
  const configMaps = client.resource<ConfigMap>(configMapType);
  const name = 'extension-apiserver-authentication';
  return trustOf((await configMaps.get(name, 'kube-system', { signal })).data);
}
