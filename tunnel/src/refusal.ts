/**
 * Why a hub turns a site away, and what the agent makes of it.
 *
 * Guarantees: an agent never gives up on a refusal: what refused may be mended by a person at any time. It
 * only slows down, and enrols again where the region says that it does not know the certificate.
 */
export const refusals = {
  /** No wire version in common. */
  VersionMismatch: 'VersionMismatch',
  /** The hub cannot tell yet: its caches are not filled, or the region does not answer. */
  NotReady: 'NotReady',
  /** The Cloudlet is revoked by a person. */
  Revoked: 'Revoked',
  /** There is no such Cloudlet. */
  UnknownCloudlet: 'UnknownCloudlet',
  /** The key is not one that the Cloudlet accepts. */
  UnknownKey: 'UnknownKey',
  /** The certificate is of an earlier Cloudlet of this name. */
  WrongCloudlet: 'WrongCloudlet',
  /** Two processes act as one member. */
  DuplicateAgent: 'DuplicateAgent',
  /** The token was shown before by another key, has expired, or is not the one. */
  BadToken: 'BadToken',
  /** More managers than a site may have. */
  TooManyMembers: 'TooManyMembers',
} as const;
export type Refusal = (typeof refusals)[keyof typeof refusals];

export interface RefusalPolicy {
  /** Whether the usual back-off goes on, or only slow tries follow. */
  readonly pace: 'usual' | 'slow';
  /** Whether a new certificate may help. */
  readonly enrolAgain: boolean;
}

/** What an agent does after a refusal; a reason that it does not know is taken for a slow one. */
export function refusalPolicy(reason: string): RefusalPolicy {
  const enrolAgain =
    reason === refusals.UnknownKey ||
    reason === refusals.WrongCloudlet ||
    reason === refusals.UnknownCloudlet;
  return { pace: reason === refusals.NotReady ? 'usual' : 'slow', enrolAgain };
}
