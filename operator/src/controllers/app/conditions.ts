/** The status of an App: one pure function gives all of it. */
import { type App, appConditions, appReasons, type AppStatus } from '@cloudlet/crds';
import { notTrueSince, type Obstacle, patienceMs, stalledVerdicts } from '../../stalled.ts';
import { conditionsFrom } from '../../status.ts';

export const operatorFields = ['observedGeneration', 'revision', 'instances'] as const;
export const operatorConditions = [appConditions.Ready, appConditions.Stalled] as const;

export interface Result {
  readonly app: App;
  readonly now: number;
  readonly revision?: string | undefined;
  readonly instances: number;
  readonly problem?: { readonly reason: string; readonly message: string } | undefined;
}

export function statusOf(result: Result): AppStatus {
  const { app, now, revision, instances, problem } = result;
  const verdict = problem
    ? { type: appConditions.Ready, status: 'False' as const, ...problem }
    : {
        type: appConditions.Ready,
        status: 'True' as const,
        reason: appReasons.Ready,
        message: 'It can be placed.',
      };
  return {
    observedGeneration: app.metadata.generation,
    ...(revision === undefined ? {} : { revision }),
    instances,
    conditions: conditionsFrom(
      [verdict, ...stalledVerdicts(obstacleOf(result), now)],
      app.status?.conditions,
      app.metadata.generation,
      now,
    ),
  };
}

/** What keeps it from being placed, unless it is about to be deleted. */
export function obstacleOf({ app, now, problem }: Result): Obstacle | undefined {
  if (!problem || problem.reason === appReasons.InUse) return undefined;
  const isMissing = problem.reason === appReasons.FlavorNotFound;
  return {
    ...problem,
    since: notTrueSince(app.status?.conditions, appConditions.Ready, now),
    patienceMs: isMissing ? patienceMs.missing : patienceMs.wrong,
  };
}
