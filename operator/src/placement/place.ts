/**
 * Placement: filters, then scores, over the sites that a request may go to.
 *
 * Guarantees: pure and deterministic: the same request and the same views give the same site, in whatever
 * order they come; when nothing fits, every reason is told with how many sites gave it; `explainPlacement`
 * goes the same way and tells it site by site.
 */
import { contentHash } from '@cloudlet/runtime/base';
import { portsTakenBy, usageOf } from '../ledger/entries.ts';
import { allocatePorts, defaultPortRange } from '../ledger/ports.ts';
import { refusalsOf } from './filters.ts';
import type { PlacementRequest, Refusal, SiteView } from './site.ts';

/** What speaks for a site. Compared member by member in this order; the first that differs decides. */
export interface Score {
  /** Instances of the same App there: fewer spread better. */
  readonly sameApp: number;
  /** Public ports that would not be the number the App names: fewer surprise less. */
  readonly remappedPorts: number;
  /** Share of the scarcest resource that is left, in thousandths: more is better. */
  readonly freeShare: number;
  /** Decides the rest, differently for each instance. */
  readonly tieBreak: string;
}

export type PlacementDecision =
  | { readonly kind: 'Placed'; readonly site: SiteView }
  | {
      readonly kind: 'NoSiteFits';
      readonly message: string;
      /** The filter that refused every site, if it was one. */
      readonly filter?: string;
    };

export interface SiteExplanation {
  readonly cloudlet: string;
  readonly chosen: boolean;
  /** Empty where the site fits. */
  readonly refusals: readonly Refusal[];
  readonly score?: Score;
}

/** Decides where an instance goes. */
export function decidePlacement(
  request: PlacementRequest,
  sites: readonly SiteView[],
): PlacementDecision {
  const judged = sites.map((site) => ({ site, refusals: refusalsOf(request, site) }));
  const best = bestOf(
    request,
    judged.filter(({ refusals }) => refusals.length === 0).map(({ site }) => site),
  );
  if (best) return { kind: 'Placed', site: best };
  const names = new Set(judged.map(({ refusals }) => refusals[0]?.filter));
  const [filter] = names.size === 1 ? names : [];
  return {
    kind: 'NoSiteFits',
    message: summary(judged.map(({ refusals }) => refusals)),
    ...(filter === undefined ? {} : { filter }),
  };
}

/** Tells for each site whether and why, or why not, it would take the instance; best first. */
export function explainPlacement(
  request: PlacementRequest,
  sites: readonly SiteView[],
): readonly SiteExplanation[] {
  const judged = sites.map((site) => ({ site, refusals: refusalsOf(request, site) }));
  const fitting = judged.filter(({ refusals }) => refusals.length === 0).map(({ site }) => site);
  const best = bestOf(request, fitting);
  return judged
    .map(({ site, refusals }) => ({
      cloudlet: site.cloudlet.metadata.name,
      chosen: site === best,
      refusals,
      ...(refusals.length === 0 ? { score: scoreOf(request, site) } : {}),
    }))
    .sort(compareExplanations);
}

function compareExplanations(a: SiteExplanation, b: SiteExplanation): number {
  if (a.score && b.score) return compareScores(a.score, b.score);
  return a.refusals.length - b.refusals.length || a.cloudlet.localeCompare(b.cloudlet, 'en');
}

function bestOf(request: PlacementRequest, sites: readonly SiteView[]): SiteView | undefined {
  // Who is somewhere already stays there as long as it fits.
  const present = sites.find((site) => site.isHere);
  if (present) return present;
  return sites
    .map((site) => ({ site, score: scoreOf(request, site) }))
    .sort((a, b) => compareScores(a.score, b.score))[0]?.site;
}

export function scoreOf(request: PlacementRequest, site: SiteView): Score {
  return {
    sameApp: site.sameApp,
    remappedPorts: remappedPorts(request, site),
    freeShare: freeShare(request, site),
    tieBreak: contentHash([request.id, site.cloudlet.metadata.name], 16),
  };
}

function compareScores(a: Score, b: Score): number {
  return (
    a.sameApp - b.sameApp ||
    a.remappedPorts - b.remappedPorts ||
    b.freeShare - a.freeShare ||
    (a.tieBreak < b.tieBreak ? -1 : 1)
  );
}

function remappedPorts(request: PlacementRequest, site: SiteView): number {
  const grant = allocatePorts({
    id: request.id,
    wanted: request.ports,
    held: [],
    taken: portsTakenBy(site.ledger, request.id),
    range: site.cloudlet.spec.loadBalancer?.portRange ?? defaultPortRange,
  });
  if (grant.kind === 'Exhausted') return request.ports.length;
  return grant.ports.filter((port) => port.publicPort !== port.port).length;
}

function freeShare(request: PlacementRequest, site: SiteView): number {
  const capacity = site.cloudlet.status?.site?.capacity ?? {};
  const usage = usageOf(site.ledger, { exceptId: request.id });
  const shares = (['cpuMillis', 'memoryBytes', 'diskBytes'] as const).flatMap((resource) => {
    const most = capacity[resource];
    return most === undefined || most === 0 ? [] : [(most - usage[resource]) / most];
  });
  return shares.length === 0 ? 0 : Math.round(Math.min(...shares) * 1000);
}

/** "none of 5 sites fits: is not connected (3 sites); ..."; a site counts once, by the first filter that refused it. */
function summary(judged: readonly (readonly Refusal[])[]): string {
  if (judged.length === 0) return 'there is no site to choose from';
  const counts = new Map<string, number>();
  for (const [first] of judged)
    if (first) counts.set(first.message, (counts.get(first.message) ?? 0) + 1);
  if (judged.length === 1) return `the site ${[...counts.keys()].join(', ')}`;
  const parts = [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .map(([message, count]) => `${message} (${count} ${count === 1 ? 'site' : 'sites'})`);
  return `none of ${judged.length} sites fits: ${parts.join('; ')}`;
}
