/**
 * Whether this member acts for its site, and whether it may change anything now. Pure.
 *
 * Guarantees: the member that leads acts; another one does only as deputy, which the region makes it when
 * the leader's agent is gone; when nobody leads because the quorum is lost, the last one that acted goes on
 * to report, and changes nothing. A member that cannot see its platform is no deputy.
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

export interface Standing {
  readonly wasActive: boolean;
  /** The region asked it to act for the site. */
  readonly isDeputy: boolean;
}

export function roleOf(site: SiteObservation | undefined, { wasActive, isDeputy }: Standing): Role {
  if (!site) return { active: wasActive, acts: false };
  const hasLostQuorum = site.quorum?.status === 'False' && site.quorum.reason === 'QuorumLost';
  const canDeputize = isDeputy && (hasLostQuorum || site.platform.status === 'True');
  const active = site.leads || canDeputize || (hasLostQuorum && wasActive);
  const obstacle = hasLostQuorum ? site.quorum : site.platform;
  if (!obstacle || obstacle.status !== 'False') return { active, acts: active };
  return { active, acts: false, held: { reason: obstacle.reason, message: obstacle.message } };
}
