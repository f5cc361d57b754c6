/** How a region answers enrolments, for tests: as the real one does, with its objects in memory. */
import { InvalidError } from '@cloudlet/runtime/base';
import type { EnrollPeer } from './hub/backend.ts';
import { readCsr, signAgentCsr, tokenMatches } from './identity/index.ts';
import type { Region } from './testing.ts';
import type { EnrollReply, EnrollRequest } from './wire.ts';

export interface EnrollState {
  tokenHash?: string;
  boundKey?: string;
  acceptedKeys: string[];
  /** Life of what is issued. */
  days?: number;
}

export type Enroll = (request: EnrollRequest, peer: EnrollPeer) => Promise<EnrollReply>;

/** Signs whatever comes. */
export function issuing(region: Region, days?: number): Enroll {
  return async ({ csr, cloudlet }) => {
    const { certificatePem } = await signAgentCsr(region.authority, {
      ...{ csrPem: csr, cloudlet, cloudletId: `id-of-${cloudlet}` },
      ...(days !== undefined && { days }),
    });
    const ca = region.authority.certificatePem;
    return { state: 'Issued', certificate: certificatePem, ca };
  };
}

/** Keeps to the rules: a token once, an accepted key, or a known one. */
export function byTheRules(region: Region, state: EnrollState): Enroll {
  const issue = issuing(region, state.days);
  return async (request, peer) => {
    const { fingerprint } = await readCsr(request.csr);
    const { token } = request;
    if (peer.certificate?.fingerprint === fingerprint) return issue(request, peer);
    if (state.acceptedKeys.includes(fingerprint)) return issue(request, peer);
    if (token === undefined)
      return {
        ...{ state: 'Waiting', fingerprint, retryAfterMs: 1_000 },
        message: 'name the key in spec.acceptedKeys',
      };
    if (state.tokenHash === undefined) throw new InvalidError('no token was minted');
    if (tokenMatches(token, state.tokenHash)) state.boundKey ??= fingerprint;
    return state.boundKey === fingerprint
      ? issue(request, peer)
      : { state: 'Refused', reason: 'BadToken', message: 'the token is of another key' };
  };
}
