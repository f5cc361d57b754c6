/**
 * Whether this member acts for its site, and whether it may change anything now. Pure.
 *
 * Guarantees: the member that leads acts; another one does only as deputy, which the region makes it when
 * the leader's agent is gone; when nobody leads because the quorum is lost, the last one that acted goes on
 * to report, and changes nothing. A member whose own platform does not answer changes nothing and lets go
 * after a moment, whatever it was before; it reports only as the last one that the region finds.
 */
import { cloudletReasons } from '@cloudlet/crds';
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
  /** Its platform did not answer for so long that what was known of it counts no more. */
  readonly isBlind: boolean;
  /** No other member of the site acts either, though the region asked them. */
  readonly isLastResort: boolean;
}

/** Whether an observation is the platform's word, and not what is remembered of it. */
export function isSeen(site: SiteObservation | undefined): site is SiteObservation {
  if (site?.platform.status !== 'False') return site !== undefined;
  const { reason } = site.platform;
  return (
    reason !== cloudletReasons.EngineUnreachable && reason !== cloudletReasons.NotASwarmManager
  );
}

function silence(site: SiteObservation): NonNullable<Role['held']> {
  const { reason, message } = site.platform;
  if (!isSeen(site)) return { reason, message };
  return { reason: cloudletReasons.EngineUnreachable, message: 'the platform does not answer' };
}

export function roleOf(site: SiteObservation | undefined, standing: Standing): Role {
  const { wasActive, isDeputy, isBlind, isLastResort } = standing;
  if (!site) return { active: isLastResort, acts: false };
  if (isBlind || !isSeen(site)) {
    return { active: isBlind ? isLastResort : wasActive, acts: false, held: silence(site) };
  }
  const hasLostQuorum = site.quorum?.status === 'False' && site.quorum.reason === 'QuorumLost';
  const canDeputize = isDeputy && (hasLostQuorum || site.platform.status === 'True');
  const active = site.leads || canDeputize || (hasLostQuorum && wasActive);
  const obstacle = hasLostQuorum ? site.quorum : site.platform;
  if (!obstacle || obstacle.status !== 'False') return { active, acts: active };
  return { active, acts: false, held: { reason: obstacle.reason, message: obstacle.message } };
}
