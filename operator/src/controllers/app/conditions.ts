/** The status of an App: one pure function gives all of it. */
import { type App, appConditions, appReasons, type AppStatus } from '@cloudlet/crds';
import { conditionsFrom } from '../../status.ts';

export const operatorFields = ['observedGeneration', 'revision', 'instances'] as const;
export const operatorConditions = [appConditions.Ready] as const;

export interface Result {
  readonly app: App;
  readonly now: number;
  readonly revision?: string | undefined;
  readonly instances: number;
  readonly problem?: { readonly reason: string; readonly message: string } | undefined;
}

export function statusOf({ app, now, revision, instances, problem }: Result): AppStatus {
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
    conditions: conditionsFrom([verdict], app.status?.conditions, app.metadata.generation, now),
  };
}
