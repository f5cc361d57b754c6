/**
 * Clears what nobody needs any more: copies of secrets that no AppInst is pinned to, and answered requests
 * for certificates.
 *
 * Guarantees: a copy goes only when it has been without a user for the whole of a period, by this process's
 * own watching, so that one that was just made is not taken away before the AppInst that wants it says so;
 * it is deleted by uid, so a new one of the same name is safe.
 */
import { namespaces } from '@cloudlet/crds';
import type { KubernetesObject, Outcome, ReconcileContext } from '@cloudlet/runtime/kubernetes';
import type { SecretObject } from '../kinds.ts';
import { refs, type Region } from '../region.ts';
import { isPending } from './cloudlet/requests.ts';
import { ignoreNotFound } from './cloudlet/remove.ts';

/** The one key of this controller. */
export const collectKey = 'region';

export interface CollectOptions {
  readonly region: Region;
  /** @default 10 min */
  readonly periodMs?: number;
}

export function createCollectReconcile({
  region,
  periodMs = 10 * 60_000,
}: CollectOptions): (context: ReconcileContext) => Promise<Outcome> {
  /** By uid: since when a copy has no user, monotonic. */
  let unusedSince = new Map<string, number>();

  const findUnused = (): readonly SecretObject[] => {
    const now = region.clock.monotonic();
    const unused = region.informers.copies.cache
      .list()
      .filter(({ metadata }) => region.referrers(refs.copy(metadata.name)).length === 0);
    unusedSince = new Map(
      unused.map(({ metadata: { uid = '' } }) => [uid, unusedSince.get(uid) ?? now]),
    );
    return unused.filter(
      ({ metadata: { uid = '' } }) => now - (unusedSince.get(uid) ?? now) >= periodMs,
    );
  };

  return async ({ signal, logger }) => {
    for (const copy of findUnused()) {
      const { name, uid = '' } = copy.metadata;
      logger.info('removes a copy of secrets that nothing uses', { secret: name });
      await ignoreNotFound(
        region.clients.secrets.delete(name, namespaces.secrets, { uid, signal }),
      );
    }
    for (const request of region.informers.requests.cache.list())
      if (!isPending(request) && isOlderThan(request, region.clock.now() - periodMs))
        await ignoreNotFound(
          region.clients.requests.delete(request.metadata.name, undefined, { signal }),
        );
    return { kind: 'requeue', afterMs: periodMs / 2, reason: 'looks again for what is not needed' };
  };
}

const isOlderThan = ({ metadata }: KubernetesObject, timeMs: number): boolean =>
  Date.parse(metadata.creationTimestamp ?? '') < timeMs;
