/**
 * Who is let in, from what the region says of the Cloudlet. Pure.
 *
 * Guarantees: a certificate alone opens nothing: the Cloudlet must exist under the id that the certificate
 * carries, must not be revoked, must list the key, nobody may have taken the key away since, and it must not be
 * one of two duplicates. A Cloudlet that is being deleted is let in: its site is cleaned through the tunnel.
 */
import type { Cloudlet } from '@cloudlet/crds';
import { type Admission, refusals, type SiteIdentity } from '@cloudlet/tunnel';
import type { Lease } from '../kinds.ts';
import { type KeyOrigin, keyOnRecord, withdrawalOf } from '../keys.ts';
import { duplicateOf, isRefusedDuplicate } from './lease-record.ts';
import { instanceIdOf } from '../plan/render.ts';

export interface AdmissionView {
  readonly cloudlet: Cloudlet | undefined;
  readonly lease: Lease | undefined;
  /** What let a key in whose certificate this replica handed out a moment ago: the cache may not list it yet. */
  readonly justIssued: (fingerprint: string) => KeyOrigin | undefined;
}

const refuse = (reason: string, message: string): Admission => ({
  admitted: false,
  reason,
  message,
});

export function admissionOf(identity: SiteIdentity, view: AdmissionView): Admission {
  const { cloudlet, lease } = view;
  const { fingerprint } = identity;
  if (!cloudlet)
    return refuse(refusals.UnknownCloudlet, `there is no Cloudlet ${identity.cloudlet}`);
  if (instanceIdOf(cloudlet) !== identity.cloudletId)
    return refuse(refusals.WrongCloudlet, 'the certificate is of an earlier Cloudlet of that name');
  if (cloudlet.spec.revoked)
    return refuse(refusals.Revoked, `Cloudlet ${identity.cloudlet} is revoked`);
  const known = keyOnRecord(cloudlet, fingerprint);
  const issued = view.justIssued(fingerprint);
  const withdrawal = withdrawalOf(cloudlet, fingerprint, known?.acceptedBy ?? issued);
  if (withdrawal?.kind === 'Revoked') return refuse(refusals.Revoked, withdrawal.message);
  if (withdrawal) return refuse(refusals.UnknownKey, withdrawal.message);
  if (!known && !issued)
    return refuse(refusals.UnknownKey, `${fingerprint} is not a key of the Cloudlet`);
  if (isRefusedDuplicate(duplicateOf(lease), fingerprint, cloudlet))
    return refuse(
      refusals.DuplicateAgent,
      'two agents with keys of this site contest it: accept the key of one again',
    );
  return { admitted: true, cloudletUid: cloudlet.metadata.uid };
}
