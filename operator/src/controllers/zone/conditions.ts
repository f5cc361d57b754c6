/** The status of a Zone. */
import type { Cloudlet, Zone, ZoneStatus } from '@cloudlet/crds';
import { conditionOf, conditionsFrom } from '../../status.ts';

export const operatorFields = ['observedGeneration', 'cloudlets', 'ready'] as const;
export const operatorConditions = ['Ready'] as const;

export interface Result {
  readonly zone: Zone;
  readonly now: number;
  readonly cloudlets: readonly Cloudlet[];
  /** Who keeps it from being deleted. */
  readonly users?: string | undefined;
}

export function statusOf({ zone, now, cloudlets, users }: Result): ZoneStatus {
  const ready = cloudlets.filter((site) => conditionOf(site, 'Ready')?.status === 'True').length;
  const { generation } = zone.metadata;
  const verdict =
    users !== undefined
      ? { status: 'False' as const, reason: 'InUse', message: `It is used by ${users}.` }
      : ready > 0
        ? { status: 'True' as const, reason: 'Ready', message: 'Instances can be placed.' }
        : {
            status: 'False' as const,
            reason: 'NoSiteReady',
            message: 'None of its sites is Ready.',
          };
  return {
    observedGeneration: generation,
    cloudlets: cloudlets.length,
    ready,
    conditions: conditionsFrom(
      [{ type: 'Ready', ...verdict }],
      zone.status?.conditions,
      generation,
      now,
    ),
  };
}
