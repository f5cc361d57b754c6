/**
 * The first wall: what the hub refuses to pass on for a site, before the API server's own policies (the
 * second wall) look at it. Pure.
 *
 * Guarantees: a report passes only when it is about an instance that is placed at this very site, about this
 * very object, from this very agent process, in order, and holds nothing but the agent's part.
 */
import {
  appInstAgentConditions,
  type AppInst,
  type Cloudlet,
  cloudletAgentConditions,
  type LedgerEntry,
  type LedgerTombstone,
} from '@cloudlet/crds';
import type { InstanceReport, ReportResult, SiteReport } from '@cloudlet/tunnel';

/** Why a report was not passed on; `reason` is the label of the metric. */
export interface Refusal {
  readonly reason:
    'NotPlacedHere' | 'OtherObject' | 'OtherBoot' | 'Stale' | 'NotTheAgents' | 'UnknownInstance';
  readonly message: string;
}

/** What the region holds about the instance that a report is about. */
export interface ReportView {
  readonly site: string;
  /** Of the link that the report came by. */
  readonly boot: string;
  readonly appInst?: AppInst | undefined;
  readonly entry?: LedgerEntry | undefined;
  readonly tombstone?: LedgerTombstone | undefined;
}

const refuse = (reason: Refusal['reason'], message: string): Refusal => ({ reason, message });

/** Whether the report says that a removal which the ledger asks for was carried out. */
export function confirmsRemoval(report: InstanceReport, view: ReportView): boolean {
  const { site } = report.status;
  return (
    site.removed === true &&
    view.tombstone !== undefined &&
    site.placement >= view.tombstone.sequence
  );
}

/**
 * Whether a removal goes on record after its report was written to the AppInst. It does although the API
 * server refused the report: a cache that lags behind a move takes the object for this site's, and the site
 * says only once that the instance is gone.
 */
export function recordsRemoval(
  report: InstanceReport,
  view: ReportView,
  written: ReportResult,
): boolean {
  return written.result !== 'Retry' && confirmsRemoval(report, view);
}

/** Whether the AppInst's status is this site's to write. */
export function isPlacedHere(report: InstanceReport, view: ReportView): boolean {
  const { appInst, site } = view;
  return (
    appInst?.status?.placement?.cloudlet === site &&
    appInst.metadata.namespace === report.object.namespace &&
    appInst.metadata.name === report.object.name
  );
}

/** @returns undefined when the report may pass. */
export function checkInstanceReport(report: InstanceReport, view: ReportView): Refusal | undefined {
  const { appInst, entry, tombstone } = view;
  const { site, conditions } = report.status;
  if (site.boot !== view.boot)
    return refuse('OtherBoot', 'the report names another agent process than the one that sent it');
  if (!entry && !tombstone)
    return refuse('UnknownInstance', 'the ledger knows no such instance at this site');
  if (confirmsRemoval(report, view) && !isPlacedHere(report, view)) return undefined;
  if (!appInst || !isPlacedHere(report, view))
    return refuse('NotPlacedHere', 'the AppInst is not placed at this site');
  if (site.uid !== appInst.metadata.uid)
    return refuse('OtherObject', 'the report is about another object of that name');
  if (isStale(site, appInst.status?.site)) return refuse('Stale', 'a later report is on record');
  return foreignCondition(conditions, appInstAgentConditions);
}

/** @returns undefined when the report may pass. */
export function checkSiteReport(
  report: SiteReport,
  view: { readonly boot: string; readonly cloudlet?: Cloudlet | undefined },
): Refusal | undefined {
  const { site, conditions } = report;
  if (site.boot !== view.boot)
    return refuse('OtherBoot', 'the report names another agent process than the one that sent it');
  if (!view.cloudlet) return refuse('NotPlacedHere', 'the Cloudlet does not exist');
  if (site.uid !== view.cloudlet.metadata.uid)
    return refuse('OtherObject', 'the report is about another object of that name');
  if (isStale(site, view.cloudlet.status?.site))
    return refuse('Stale', 'a later report is on record');
  return foreignCondition(conditions, cloudletAgentConditions);
}

interface Stamp {
  readonly boot: string;
  readonly sequence: number;
  readonly placement?: number;
}

/**
 * Plans of an instance only grow, whatever process reports; reports only within one process. A plan later
 * than the ledger's is let through: after a restore of the region it is how the operator learns of it.
 */
function isStale(report: Stamp, recorded: Stamp | undefined): boolean {
  if (!recorded) return false;
  if ((report.placement ?? 0) < (recorded.placement ?? 0)) return true;
  return report.boot === recorded.boot && report.sequence < recorded.sequence;
}

function foreignCondition(
  conditions: readonly { readonly type: string }[],
  allowed: readonly string[],
): Refusal | undefined {
  const foreign = conditions.find(({ type }) => !allowed.includes(type));
  if (!foreign) return undefined;
  return refuse('NotTheAgents', `condition ${foreign.type} is not the agent's to write`);
}
