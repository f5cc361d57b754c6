/**
 * What the agent says of its site: a pure function of the last observation and of the agent's own state.
 * Holds no time, so that an equal report is one of the same meaning.
 */
import { cloudletReasons, type SiteOrphan } from '@cloudlet/crds';
import type { InstanceObservation, SiteObservation, Verdict } from '@cloudlet/drivers';
import type { SiteReport } from '@cloudlet/tunnel/agent';
import { type InstanceRecord, sequenceOf } from '../store/index.ts';
import type { ContentVerdict } from './instance-report.ts';

export interface SiteContent {
  readonly site: Omit<SiteReport['site'], 'boot' | 'sequence'>;
  readonly verdicts: readonly ContentVerdict[];
}

export interface SiteView {
  readonly uid: string;
  readonly agentVersion: string;
  readonly features: readonly string[];
  readonly observed: SiteObservation | undefined;
  /** Why there is no observation now. */
  readonly failure?: string | undefined;
  /** Why the agent cannot write its state. */
  readonly storeFailure?: string | undefined;
  /** Hub's clock minus ours, in milliseconds. */
  readonly skewMs: number;
  /** What runs here though the region does not know it. */
  readonly orphans: readonly SiteOrphan[];
}

/** What runs and the region does not order, with the number by which it would have to have it removed. */
export function orphansOf(
  instances: Iterable<InstanceObservation>,
  records: ReadonlyMap<string, InstanceRecord>,
): readonly SiteOrphan[] {
  return [...instances]
    .filter(({ id }) => records.get(id)?.orphan ?? !records.has(id))
    .map(({ id, name }) => {
      const record = records.get(id);
      const sequence = record ? { sequence: sequenceOf(record) } : {};
      return { id, name: name.slice(0, 253), ...sequence };
    })
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** A clock that is off by more is called wrong. */
export const maxSkewMs = 5000;

export function siteContent(view: SiteView): SiteContent {
  const { observed, uid, agentVersion, features, orphans } = view;
  const verdicts: ContentVerdict[] = [
    { type: 'PlatformReady', ...platformOf(view) },
    { type: 'ClockInSync', ...clockOf(view.skewMs) },
  ];
  if (observed?.quorum) verdicts.push({ type: 'Quorum', ...observed.quorum });
  if (observed?.loadBalancer)
    verdicts.push({ type: 'LoadBalancerReady', ...observed.loadBalancer });
  return {
    verdicts: verdicts.map((verdict) => ({ ...verdict, message: verdict.message.slice(0, 4096) })),
    site: {
      uid,
      version: agentVersion,
      features: [...features],
      ...(observed ? observedSite(observed) : {}),
      ...(orphans.length > 0
        ? { orphans: orphans.slice(0, 100).map((orphan) => ({ ...orphan })) }
        : {}),
    },
  };
}

function observedSite(observed: SiteObservation): Partial<SiteContent['site']> {
  const managers = observed.nodes.filter(({ role }) => role === 'Manager');
  return {
    ...(observed.platformVersion === undefined
      ? {}
      : { platformVersion: observed.platformVersion.slice(0, 128) }),
    addresses: observed.addresses.slice(0, 16),
    nodes: observed.nodes.slice(0, 200).map((node) => ({ ...node })),
    managers: managers.length,
    managersReachable: managers.filter(({ reachable }) => reachable).length,
    architectures: [...new Set(observed.architectures)].slice(0, 16),
    capacity: observed.capacity,
  };
}

function platformOf({ observed, failure, storeFailure }: SiteView): Verdict {
  if (storeFailure !== undefined)
    return {
      status: 'False',
      reason: cloudletReasons.StateNotWritable,
      message: `The agent cannot write its state, so it takes no plan: ${storeFailure}`,
    };
  if (failure !== undefined)
    return { status: 'False', reason: cloudletReasons.EngineUnreachable, message: failure };
  return (
    observed?.platform ?? {
      status: 'Unknown',
      reason: cloudletReasons.EngineUnreachable,
      message: 'The platform has not been seen yet.',
    }
  );
}

function clockOf(skewMs: number): Verdict {
  if (Math.abs(skewMs) <= maxSkewMs)
    return { status: 'True', reason: cloudletReasons.ClockInSync, message: 'As the region.' };
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  return {
    status: 'False',
    reason: cloudletReasons.ClockWrong,
    message: `The site's clock is ${seconds} s ${skewMs > 0 ? 'behind' : 'ahead of'} the region's.`,
  };
}
