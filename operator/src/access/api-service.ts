/**
 * Tells the API server by which authority to know us: the region's own, made at its first start.
 *
 * Guarantees: written when it differs, at start and with a new authority; an APIService that is not
 * installed yet is looked for again.
 */
import { accessGroup } from '@cloudlet/crds';
import { type Clock, type Logger, policyOf, retry } from '@cloudlet/runtime/base';
import type {
  KubernetesClient,
  KubernetesObject,
  ResourceType,
} from '@cloudlet/runtime/kubernetes';
import { accessVersion } from './discovery.ts';

interface ApiService extends KubernetesObject {
  readonly spec: { readonly caBundle?: string };
}

const apiServiceType: ResourceType = {
  group: 'apiregistration.k8s.io',
  version: 'v1',
  plural: 'apiservices',
  kind: 'APIService',
  namespaced: false,
};

export interface ApiServiceOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Resolves when the APIService names this authority (PEM). */
export async function publishAuthority(
  options: ApiServiceOptions,
  ca: string,
  signal: AbortSignal,
): Promise<void> {
  const { client, clock, logger } = options;
  const name = `${accessVersion}.${accessGroup}`;
  const services = client.resource<ApiService>(apiServiceType);
  const caBundle = Buffer.from(ca).toString('base64');
  await retry(
    async () => {
      const { spec } = await services.get(name, undefined, { signal });
      if (spec.caBundle === caBundle) return;
      await services.mergePatch(name, undefined, { spec: { caBundle } }, { signal });
      logger.info('told the API server our authority', { apiService: name });
    },
    {
      ...{ clock, signal, baseMs: 500, maxMs: 30_000, jitter: 0.2 },
      onRetry: (error) => logger.log(policyOf(error).log, 'cannot write the APIService', { error }),
    },
  );
}
