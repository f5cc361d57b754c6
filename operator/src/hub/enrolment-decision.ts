/**
 * Whether a key may have a certificate of a Cloudlet, and by what right. Pure.
 *
 * Guarantees: the right is one of: a join token of this Cloudlet, unexpired and bound to no other key; a key
 * that a person accepted; a key that is known already and was not taken away. A revoked Cloudlet gives none;
 * one that is being deleted gives none to new keys. The token is compared by hash, in constant time.
 */
import type { Cloudlet } from '@cloudlet/crds';
import { refusals, tokenMatches } from '@cloudlet/tunnel';
import type { Lease, SecretObject } from '../kinds.ts';
import { isListed, type KeyOrigin, keyOnRecord, withdrawalOf } from '../keys.ts';
import { duplicateOf, isRefusedDuplicate } from './lease-record.ts';
import { instanceIdOf } from '../plan/render.ts';

export interface EnrolmentView {
  readonly cloudlet: Cloudlet | undefined;
  readonly lease: Lease | undefined;
  readonly fingerprint: string;
  /** Of a certificate of our authority that the peer showed for this very key. */
  readonly certificateOf?: { readonly cloudlet: string; readonly cloudletId: string } | undefined;
}

export type Right =
  /** Issue now. */
  | { readonly kind: 'known'; readonly acceptedBy: KeyOrigin }
  | { readonly kind: 'accepted' }
  /** Only a token may open it; without one the key waits. */
  | { readonly kind: 'stranger' }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string };

const refused = (reason: string, message: string): Right => ({ kind: 'refused', reason, message });

export function rightOf(cloudletName: string, view: EnrolmentView): Right {
  const { cloudlet, fingerprint, certificateOf } = view;
  if (!cloudlet) return refused(refusals.UnknownCloudlet, `there is no Cloudlet ${cloudletName}`);
  if (cloudlet.spec.revoked)
    return refused(refusals.Revoked, `Cloudlet ${cloudletName} is revoked`);
  if (certificateOf && certificateOf.cloudletId !== instanceIdOf(cloudlet))
    return refused(
      refusals.WrongCloudlet,
      'the certificate is of an earlier Cloudlet of that name',
    );
  if (isRefusedDuplicate(duplicateOf(view.lease), fingerprint, cloudlet))
    return refused(
      refusals.DuplicateAgent,
      'two agents with keys of this site contest it: accept the key of one again',
    );
  const known = keyOnRecord(cloudlet, fingerprint);
  const withdrawal = withdrawalOf(cloudlet, fingerprint, known?.acceptedBy);
  if (withdrawal?.kind === 'Revoked') return refused(refusals.Revoked, withdrawal.message);
  if (known && !withdrawal) return { kind: 'known', acceptedBy: known.acceptedBy ?? 'JoinToken' };
  if (cloudlet.metadata.deletionTimestamp)
    return refused('Deleting', `Cloudlet ${cloudletName} is being deleted`);
  if (isListed(cloudlet, fingerprint)) return { kind: 'accepted' };
  return { kind: 'stranger' };
}

export type TokenVerdict =
  | { readonly kind: 'bind' }
  /** This key bound it before. */
  | { readonly kind: 'bound' }
  | { readonly kind: 'refused'; readonly reason: string; readonly message: string };

export function tokenVerdict(
  join: SecretObject | undefined,
  shown: { readonly token: string; readonly fingerprint: string; readonly cloudlet: Cloudlet },
  now: number,
): TokenVerdict {
  const hash = field(join, 'hash');
  // Whatever is wrong with it, a wrong token learns no more than that it is wrong.
  if (hash === undefined || !tokenMatches(shown.token, hash))
    return {
      kind: 'refused',
      reason: refusals.BadToken,
      message: 'the join token is not valid here',
    };
  if (field(join, 'cloudletId') !== instanceIdOf(shown.cloudlet))
    return {
      kind: 'refused',
      reason: refusals.BadToken,
      message: 'the join token is not valid here',
    };
  const boundKey = field(join, 'boundKey');
  if (boundKey === shown.fingerprint) return { kind: 'bound' };
  if (boundKey !== undefined && boundKey !== '')
    return {
      kind: 'refused',
      reason: refusals.BadToken,
      message: 'another key used the join token',
    };
  const expiresAt = Date.parse(field(join, 'expiresAt') ?? '');
  if (!(expiresAt > now))
    return { kind: 'refused', reason: refusals.BadToken, message: 'the join token has expired' };
  return { kind: 'bind' };
}

function field(secret: SecretObject | undefined, key: string): string | undefined {
  const value = secret?.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}
