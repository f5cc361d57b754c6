/**
 * What keeps an AppInst from becoming what was asked for. Pure.
 *
 * Guarantees: the reason is the first that a person can do something about; a site that is cut off is none,
 * since what runs there may serve and the site may come back; an instance that is off or suspended has none.
 */
import { appInstReasons } from '@cloudlet/crds';
import { notTrueSince, type Obstacle, patienceMs } from '../../stalled.ts';
import { conditionOf } from '../../status.ts';
import type { Result } from './conditions.ts';
import { isRolledBackAtSite, permanentReasons, updateTimeoutMs } from './rollout.ts';

/** Reasons of a refusal that is over by itself. */
const passing: readonly string[] = [appInstReasons.Progressing, appInstReasons.WaitingForSite];

/** How long a refusal may last: the object is wrong, there is no room, or what it names is missing. */
const refusalPatienceMs: Readonly<Record<string, number>> = {
  [appInstReasons.InvalidSpec]: patienceMs.wrong,
  [appInstReasons.UnknownTemplate]: patienceMs.wrong,
  [appInstReasons.InvalidCompose]: patienceMs.wrong,
  [appInstReasons.HostPathNotAllowed]: patienceMs.wrong,
  [appInstReasons.NoSiteFits]: patienceMs.machines,
  [appInstReasons.PortsExhausted]: patienceMs.machines,
};

export function obstacleOf(result: Result): Obstacle | undefined {
  if (result.removal || result.appInst.spec.suspend) return undefined;
  return refusalObstacle(result) ?? rollbackObstacle(result) ?? rolloutObstacle(result);
}

function refusalObstacle({ appInst, refusal, now }: Result): Obstacle | undefined {
  if (!refusal || passing.includes(refusal.reason)) return undefined;
  return {
    ...refusal,
    since: notTrueSince(appInst.status?.conditions, 'Accepted', now),
    patienceMs: refusalPatienceMs[refusal.reason] ?? patienceMs.missing,
  };
}

/** It serves, but not what was asked for; what the site tries again by itself has the time of a roll-out. */
function rollbackObstacle({ appInst, rollout, placed, now }: Result): Obstacle | undefined {
  const reason = appInstReasons.RolledBack;
  if (rollout?.failed !== undefined)
    return { reason, message: rolledBackMessage(rollout), since: now, patienceMs: 0 };
  if (!isRolledBackAtSite(appInst, rollout)) return undefined;
  const message = conditionOf(appInst, 'Deployed')?.message ?? '';
  const since = notTrueSince(appInst.status?.conditions, 'Deployed', now);
  return { reason, message, since, patienceMs: updateTimeoutMs(placed?.spec) };
}

export function rolledBackMessage(rollout: NonNullable<Result['rollout']>): string {
  const why = rollout.failedMessage === undefined ? '' : ` (${rollout.failedMessage})`;
  return `Revision ${rollout.failed} failed${why}; ${rollout.revision} runs.`;
}

/** What is rolled out now failed; or what had been healthy is not for as long as a roll-out may take. */
function rolloutObstacle(result: Result): Obstacle | undefined {
  const { appInst, rollout, verdict, now } = result;
  // A verdict is about the plan that the site reported on, which another may just have replaced.
  const isOfThis = rollout?.sequence === appInst.status?.rollout?.sequence;
  if (verdict?.kind !== 'Failed' || !isOfThis || appInst.spec.powerState === 'Off')
    return undefined;
  const deployed = conditionOf(appInst, 'Deployed');
  if (deployed?.status === 'False' && permanentReasons.includes(deployed.reason))
    return { reason: deployed.reason, message: deployed.message, since: now, patienceMs: 0 };
  const obstacle = { reason: appInstReasons.RolloutFailed, message: sentence(verdict.message) };
  if (rollout?.lastHealthy !== rollout?.revision) return { ...obstacle, since: now, patienceMs: 0 };
  const since = notTrueSince(appInst.status?.conditions, 'Ready', now);
  return { ...obstacle, since, patienceMs: updateTimeoutMs(result.placed?.spec) };
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.?$/, '.')}`;
