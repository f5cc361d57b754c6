/**
 * Taking a Cloudlet away: not while anything is placed there or has to be removed there; then the ledger and
 * what belongs to its agents, and the finalizer last, which is what cuts the agents off for good.
 */
import { annotations, type Cloudlet, finalizers, namespaces } from '@cloudlet/crds';
import { NotFoundError } from '@cloudlet/runtime/base';
import { joinSecretName, leaseAnnotations, siteLeaseName } from '../../names.ts';
import type { Region } from '../../region.ts';
import { dropFinalizer, referrersText } from '../finalizer.ts';
import type { Observed } from './observe.ts';

/** Why the Cloudlet must stay for now; undefined when it may go. */
export function holdbackOf(observed: Observed): string | undefined {
  const { cloudlet, placed, clusters, ledger } = observed;
  const users = [
    ...(placed.length > 0 ? [referrersText('AppInst', placed)] : []),
    ...(clusters.length > 0 ? [referrersText('Cluster', clusters)] : []),
  ];
  if (users.length > 0) return `It is used by ${users.join(' and ')}.`;
  const left = ledger?.tombstones?.length ?? 0;
  const isLetGo = annotations.abandon in (cloudlet.metadata.annotations ?? {});
  const hasEnrolled = (cloudlet.status?.keys ?? []).length > 0 || cloudlet.status?.site;
  if (isLetGo || !hasEnrolled) return undefined;
  const isConnected = observed.connection.status === 'True';
  if (left === 0) return isConnected && !hasLeft(observed) ? 'The site is cleaning up.' : undefined;
  const seen = isConnected
    ? 'the site is removing them'
    : `the site is not connected; annotate the Cloudlet with ${annotations.abandon} if it is gone for good`;
  return `${left} removed ${left === 1 ? 'instance is' : 'instances are'} still at the site: ${seen}.`;
}

/** Whether its members removed what the site had for itself; the hub gives them 30 s. */
function hasLeft({ cloudlet, lease }: Observed): boolean {
  return lease?.metadata.annotations?.[leaseAnnotations.left] === cloudlet.metadata.uid;
}

/** Removes what was made for the site, and the finalizer last. Repeating it is harmless. */
export async function finish(
  region: Region,
  cloudlet: Cloudlet,
  signal: AbortSignal,
): Promise<void> {
  const { name } = cloudlet.metadata;
  const { ledgers, secrets, leases, cloudlets } = region.clients;
  await ignoreNotFound(ledgers.delete(name, undefined, { signal }));
  await ignoreNotFound(secrets.delete(joinSecretName(name), namespaces.system, { signal }));
  await ignoreNotFound(leases.delete(siteLeaseName(name), namespaces.system, { signal }));
  await dropFinalizer(cloudlets, region.cloudlets, cloudlet, finalizers.cloudlet, signal);
}

export async function ignoreNotFound(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
}
