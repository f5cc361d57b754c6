/**
 * States of every kind, and what Argo CD and kstatus (Flux) are to make of them: the test data of the health
 * checks. The statuses are those that the controllers write, so the checks cannot fall behind them.
 */
import type { KindName } from '@cloudlet/crds';
import { appInstCases } from './cases-appinst.ts';
import { siteCases } from './cases-site.ts';
import { sharedCases } from './cases-shared.ts';

export type ArgoHealth = 'Healthy' | 'Progressing' | 'Suspended' | 'Degraded';
export type Kstatus = 'Current' | 'InProgress' | 'Failed' | 'Terminating';

export interface HealthCase {
  readonly kind: KindName;
  /** Name of its file. */
  readonly name: string;
  readonly object: object;
  readonly health: ArgoHealth;
  readonly message: string;
  readonly kstatus: Kstatus;
}

export const healthCases: readonly HealthCase[] = [...sharedCases, ...siteCases, ...appInstCases];
