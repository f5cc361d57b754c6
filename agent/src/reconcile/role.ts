/**
 * Whether this member acts for its site, and whether it may change anything now. Pure.
 *
 * Guarantees: at most the member that leads acts; when nobody leads because the quorum is lost, the last
 * one that acted goes on to report, and changes nothing.
 */
import type { SiteObservation } from '@cloudlet/drivers';

export interface Role {
  /** Reports for the site. */
  readonly active: boolean;
  /** May change what is there. */
  readonly acts: boolean;
  /** Why it may not, where it is active. */
  readonly held?: { readonly reason: string; readonly message: string };
}

export function roleOf(site: SiteObservation | undefined, wasActive: boolean): Role {
  if (!site) return { active: wasActive, acts: false };
  const hasLostQuorum = site.quorum?.status === 'False' && site.quorum.reason === 'QuorumLost';
  const active = site.leads || (hasLostQuorum && wasActive);
  const obstacle = hasLostQuorum ? site.quorum : site.platform;
  if (!obstacle || obstacle.status !== 'False') return { active, acts: active };
  return { active, acts: false, held: { reason: obstacle.reason, message: obstacle.message } };
}
