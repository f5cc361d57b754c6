/**
 * Certificate requests of agents: the operator's own check, whatever a hub found, and the signature.
 *
 * Guarantees: a key gets a certificate only when the join token of this very Cloudlet is bound to it, a
 * person accepted it, or it had one before, and nobody took it away since; a revoked Cloudlet gets none, one that is being deleted none for
 * new keys; the request proves that its sender has the key.
 */
import { agentSigner, type Cloudlet, cloudletReasons } from '@cloudlet/crds';
import { InvalidError } from '@cloudlet/runtime/base';
import { type Authority, readCsr, signAgentCsr } from '@cloudlet/tunnel';
import { isListed, type KeyOrigin, keyOnRecord, type SiteKey, withdrawalOf } from '../../keys.ts';
import type { CertificateSigningRequest } from '../../kinds.ts';
import { decode } from '../../plan/secrets.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { timestamp } from '../../status.ts';
import type { JoinRecord } from './join.ts';

/** On a request: the host name that the agent gave. */
export const memberAnnotation = 'edge.cloudlet.dev/member';

export type RequestVerdict =
  | { readonly kind: 'Sign'; readonly key: SiteKey }
  | { readonly kind: 'Deny'; readonly reason: string; readonly message: string };

export interface JudgedRequest {
  readonly request: CertificateSigningRequest;
  readonly verdict: RequestVerdict;
}

/** Requests that nobody has answered yet. */
export const isPending = ({ spec, status }: CertificateSigningRequest): boolean =>
  spec.signerName === agentSigner &&
  !status?.certificate &&
  !(status?.conditions ?? []).some(({ type }) => type === 'Denied' || type === 'Failed');

const lifeMs = 30 * 86_400_000;

/** Says whether a request is to be signed. Reads nothing but its arguments. */
export async function judgeRequest(
  request: CertificateSigningRequest,
  cloudlet: Cloudlet,
  join: JoinRecord | undefined,
  now: number,
): Promise<JudgedRequest> {
  const deny = (reason: string, message: string): JudgedRequest => ({
    request,
    verdict: { kind: 'Deny', reason, message },
  });
  let fingerprint: string;
  try {
    ({ fingerprint } = await readCsr(decode(request.spec.request)));
  } catch (error) {
    if (error instanceof InvalidError) return deny('InvalidRequest', error.message);
    throw error;
  }
  const recorded = keyOnRecord(cloudlet, fingerprint);
  const withdrawal = withdrawalOf(cloudlet, fingerprint, recorded?.acceptedBy);
  const known = withdrawal ? undefined : recorded;
  if (cloudlet.spec.revoked)
    return deny(cloudletReasons.Revoked, 'the Cloudlet is revoked: spec.revoked is true');
  if (withdrawal?.kind === 'Revoked') return deny(cloudletReasons.Revoked, withdrawal.message);
  if (!known && cloudlet.metadata.deletionTimestamp)
    return deny('Deleting', 'the Cloudlet is being deleted');
  const acceptedBy = known ? originOf(known, cloudlet, join) : rightOf(fingerprint, cloudlet, join);
  if (!acceptedBy)
    return deny('UnknownKey', `${fingerprint} is neither accepted nor bound to the join token`);
  const member = request.metadata.annotations?.[memberAnnotation]?.slice(0, 63);
  return {
    request,
    verdict: {
      kind: 'Sign',
      key: {
        fingerprint,
        ...(member ? { member } : {}),
        notAfter: timestamp(now + lifeMs),
        acceptedAt: known?.acceptedAt ?? timestamp(now),
        acceptedBy,
      },
    },
  };
}

/** What lets a new key in. A token's right is the stronger one: it does not end with the list. */
function rightOf(
  fingerprint: string,
  cloudlet: Cloudlet,
  join: JoinRecord | undefined,
): KeyOrigin | undefined {
  if (boundKeyOf(cloudlet, join) === fingerprint) return 'JoinToken';
  return isListed(cloudlet, fingerprint) ? 'AcceptedKeys' : undefined;
}

const boundKeyOf = (cloudlet: Cloudlet, join: JoinRecord | undefined): string | undefined =>
  join?.cloudletId === instanceIdOf(cloudlet) ? join?.boundKey : undefined;

/** A key that is on record without it was let in before that was written down. */
const originOf = (
  { acceptedBy, fingerprint }: SiteKey,
  cloudlet: Cloudlet,
  join: JoinRecord | undefined,
): KeyOrigin => acceptedBy ?? rightOf(fingerprint, cloudlet, join) ?? 'JoinToken';

/** The certificate for a request that was found right. */
export async function signRequest(
  authority: Authority,
  request: CertificateSigningRequest,
  cloudlet: Cloudlet,
  now: number,
): Promise<string> {
  const issued = await signAgentCsr(authority, {
    csrPem: decode(request.spec.request),
    cloudlet: cloudlet.metadata.name,
    cloudletId: instanceIdOf(cloudlet) ?? '',
    now,
  });
  return issued.certificatePem;
}

const mostKeys = 14;

/**
 * The keys of a site: those on record, those that get a certificate now, and the one that the join token is
 * bound to, so that a Cloudlet that was restored without its status knows its agent again; without those that
 * a person took away.
 */
export function keysOf(
  cloudlet: Cloudlet,
  join: JoinRecord | undefined,
  judged: readonly JudgedRequest[],
  now: number,
): readonly SiteKey[] {
  const keys = new Map<string, SiteKey>();
  for (const key of cloudlet.status?.keys ?? [])
    keys.set(key.fingerprint, { ...key, acceptedBy: originOf(key, cloudlet, join) });
  const bound = boundKeyOf(cloudlet, join);
  if (bound !== undefined && !keys.has(bound))
    keys.set(bound, { fingerprint: bound, acceptedAt: timestamp(now), acceptedBy: 'JoinToken' });
  for (const { fingerprint, acceptedBy } of [...keys.values()])
    if (withdrawalOf(cloudlet, fingerprint, acceptedBy)) keys.delete(fingerprint);
  for (const { verdict } of judged)
    if (verdict.kind === 'Sign')
      keys.set(verdict.key.fingerprint, { ...keys.get(verdict.key.fingerprint), ...verdict.key });
  return [...keys.values()]
    .sort((a, b) => (b.notAfter ?? '9').localeCompare(a.notAfter ?? '9', 'en'))
    .slice(0, mostKeys)
    .sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
}
