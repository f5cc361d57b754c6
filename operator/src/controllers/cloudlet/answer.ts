/** Approves and signs, or denies, a certificate request. Repeating it is harmless. */
import type { Cloudlet } from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { Authority } from '@cloudlet/tunnel';
import type { CertificateSigningRequest } from '../../kinds.ts';
import type { Region } from '../../region.ts';
import { timestamp } from '../../status.ts';
import { type JudgedRequest, signRequest } from './requests.ts';

export async function answerRequest(
  region: Region,
  authority: Authority,
  cloudlet: Cloudlet,
  { request, verdict }: JudgedRequest,
  signal: AbortSignal,
): Promise<void> {
  const { requests } = region.clients;
  const at = timestamp(region.clock.now());
  try {
    if (verdict.kind === 'Deny') {
      const denied = withCondition(request, at, 'Denied', verdict.reason, verdict.message);
      await requests.replace(denied, { subresource: 'approval', signal });
      return;
    }
    const certificate = await signRequest(authority, request, cloudlet, region.clock.now());
    const message = `the key ${verdict.key.fingerprint} is the site's`;
    const approved = await requests.replace(
      withCondition(request, at, 'Approved', 'KeyAccepted', message),
      { subresource: 'approval', signal },
    );
    await requests.replace(
      {
        ...approved,
        status: { ...approved.status, certificate: Buffer.from(certificate).toString('base64') },
      },
      { subresource: 'status', signal },
    );
  } catch (error) {
    // Somebody answered it first, or nobody waits for it any more.
    if (!(error instanceof ConflictError) && !(error instanceof NotFoundError)) throw error;
  }
}

function withCondition(
  request: CertificateSigningRequest,
  at: string,
  type: 'Approved' | 'Denied',
  reason: string,
  message: string,
): CertificateSigningRequest {
  const others = (request.status?.conditions ?? []).filter((condition) => condition.type !== type);
  return {
    ...request,
    status: {
      ...request.status,
      conditions: [
        ...others,
        { type, status: 'True', reason, message, lastUpdateTime: at, lastTransitionTime: at },
      ],
    },
  };
}
