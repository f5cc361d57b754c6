/**
 * The keys of a site's agents: which are known, and whether what let a key in still stands. Pure.
 *
 * Guarantees: a key of `spec.revokedKeys` has no right whatever let it in; one that `spec.acceptedKeys` let in
 * has it as long as it is listed there; one that a join token let in keeps it. Hub and operator judge by the
 * same function, so a key that a person took away is cut off by the hub though no operator runs.
 */
import type { Cloudlet, CloudletStatus } from '@cloudlet/crds';

export type SiteKey = NonNullable<CloudletStatus['keys']>[number];
/** What let a key in. */
export type KeyOrigin = NonNullable<SiteKey['acceptedBy']>;

export interface Withdrawal {
  readonly kind: 'Revoked' | 'Removed';
  readonly message: string;
}

export const keyOnRecord = (cloudlet: Cloudlet, fingerprint: string): SiteKey | undefined =>
  cloudlet.status?.keys?.find((key) => key.fingerprint === fingerprint);

export const isListed = (cloudlet: Cloudlet, fingerprint: string): boolean =>
  cloudlet.spec.acceptedKeys?.includes(fingerprint) ?? false;

/** Why a person wants a key cut off that was let in this way; undefined while its right stands. */
export function withdrawalOf(
  cloudlet: Cloudlet,
  fingerprint: string,
  acceptedBy: KeyOrigin | undefined,
): Withdrawal | undefined {
  if (cloudlet.spec.revokedKeys?.includes(fingerprint))
    return { kind: 'Revoked', message: `${fingerprint} is in spec.revokedKeys` };
  if (acceptedBy === 'AcceptedKeys' && !isListed(cloudlet, fingerprint))
    return { kind: 'Removed', message: `${fingerprint} was taken out of spec.acceptedKeys` };
  return undefined;
}
