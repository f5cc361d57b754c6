/**
 * Which revision of its App an instance runs, and what became of the last one. Pure.
 *
 * Guarantees: a revision that ran healthily is remembered; one whose roll-out failed is not tried again, and
 * the instance returns to, or stays on, the last healthy one; with rollout Manual nothing changes until the
 * revision is named. A roll-out has time only while its site is connected and has the plan.
 */
import { type AppInst, type AppInstStatus, type AppSpec, appInstReasons } from '@cloudlet/crds';
import { conditionOf } from '../../status.ts';

export type Rollout = NonNullable<AppInstStatus['rollout']>;

/** What the site says of the plan that is rolled out. */
export type RolloutVerdict =
  | { readonly kind: 'Healthy' }
  | { readonly kind: 'Failed'; readonly message: string }
  /** `deadlineMs`: milliseconds left until it counts as failed. */
  | { readonly kind: 'Underway'; readonly deadlineMs?: number };

/** Reasons of `Deployed=False` that time does not heal: only another plan helps. */
export const permanentReasons: readonly string[] = [
  appInstReasons.ImageNotFound,
  appInstReasons.ArchitectureMismatch,
  appInstReasons.InvalidCompose,
  appInstReasons.Unsupported,
];

const defaultTimeoutMs = 5 * 60_000;

/** How long a roll-out of an App may take. */
export const updateTimeoutMs = (spec: AppSpec | undefined): number =>
  parseDuration(spec?.updateTimeout) ?? defaultTimeoutMs;

/** Bound of `rollout.failedMessage`. */
const maxMessage = 1024;

/** Whether the site's report is about this object, and about the plan that is rolled out now. */
export function reportState(
  appInst: AppInst,
  rollout: Rollout | undefined = appInst.status?.rollout,
): 'none' | 'older' | 'current' {
  const site = appInst.status?.site;
  if (!site || site.uid !== appInst.metadata.uid || site.removed) return 'none';
  return rollout && site.placement >= rollout.sequence ? 'current' : 'older';
}

/** The site's platform went back to what it ran before; the site tries the present plan again by itself. */
export function isRolledBackAtSite(appInst: AppInst, rollout: Rollout | undefined): boolean {
  const deployed = conditionOf(appInst, 'Deployed');
  const isTold = deployed?.status === 'False' && deployed.reason === appInstReasons.RolledBack;
  return isTold && reportState(appInst, rollout) === 'current';
}

export interface VerdictInput {
  readonly appInst: AppInst;
  /** Of the revision that is rolled out. */
  readonly spec: AppSpec | undefined;
  /** Since when the site is connected, in milliseconds since the epoch; undefined while it is not. */
  readonly connectedSince: number | undefined;
  readonly now: number;
}

export function rolloutVerdict(input: VerdictInput): RolloutVerdict {
  const { appInst, now } = input;
  if (reportState(appInst) !== 'current') return { kind: 'Underway' };
  const deployed = conditionOf(appInst, 'Deployed');
  const healthy = conditionOf(appInst, 'Healthy');
  if (deployed?.status === 'True' && healthy?.status === 'True') return { kind: 'Healthy' };
  if (deployed?.status === 'False' && permanentReasons.includes(deployed.reason))
    return { kind: 'Failed', message: `${deployed.reason}: ${deployed.message}` };
  // A stopped instance is never healthy, and that is no failure.
  if (appInst.spec.powerState === 'Off' || appInst.spec.suspend) return { kind: 'Underway' };
  // What was pinned for another spec is judged by that one's: it may have been off until a moment ago.
  if (appInst.status?.rollout?.generation !== appInst.metadata.generation)
    return { kind: 'Underway' };
  if (input.connectedSince === undefined) return { kind: 'Underway' };
  const startedAt = Date.parse(appInst.status?.rollout?.startedAt ?? '') || now;
  const timeoutMs = updateTimeoutMs(input.spec);
  const deadlineMs = Math.max(startedAt, input.connectedSince) + timeoutMs - now;
  if (deadlineMs > 0) return { kind: 'Underway', deadlineMs };
  const last = deployed?.status === 'True' ? healthy : deployed;
  const why = last ? ` (${last.reason}: ${last.message})` : '';
  return { kind: 'Failed', message: `not healthy within ${timeoutMs / 1000} s${why}` };
}

export interface ChoiceInput {
  readonly appInst: AppInst;
  /** Revision of the App's present spec. */
  readonly current: string;
  readonly verdict: RolloutVerdict;
}

export interface RolloutChoice {
  readonly revision: string;
  readonly available?: string;
  readonly lastHealthy?: string;
  readonly failed?: string;
  /** Why it failed. */
  readonly failedMessage?: string;
}

/** The revision to run now. */
export function chooseRevision({ appInst, current, verdict }: ChoiceInput): RolloutChoice {
  const { rollout: mode = 'Automatic', rolloutRevision: named } = appInst.spec;
  const previous = appInst.status?.rollout;
  const lastHealthy = verdict.kind === 'Healthy' ? previous?.revision : previous?.lastHealthy;
  const wanted = mode === 'Manual' ? (named ?? pinnedByPerson(previous) ?? current) : current;
  const { failed, failedMessage } = failureOf(previous, lastHealthy, verdict);
  const isRefused = failed === wanted && lastHealthy !== undefined && lastHealthy !== wanted;
  return {
    revision: isRefused ? lastHealthy : wanted,
    ...(mode === 'Manual' && current !== wanted ? { available: current } : {}),
    ...(lastHealthy === undefined ? {} : { lastHealthy }),
    ...(failed !== undefined && isRefused ? { failed } : {}),
    ...(failedMessage !== undefined && isRefused ? { failedMessage } : {}),
  };
}

/** What Manual stays on when no revision is named: what a failed roll-out was to be counts as asked for. */
const pinnedByPerson = (previous: Rollout | undefined): string | undefined =>
  previous?.failed ?? previous?.revision;

/** What failed last, and why: kept with the roll-out, because the site's report of it is soon replaced. */
function failureOf(
  previous: Rollout | undefined,
  lastHealthy: string | undefined,
  verdict: RolloutVerdict,
): Pick<Rollout, 'failed' | 'failedMessage'> {
  if (!previous) return {};
  if (verdict.kind !== 'Failed' || previous.revision === lastHealthy) return previous;
  return { failed: previous.revision, failedMessage: verdict.message.slice(0, maxMessage) };
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration as Go writes it. */
export function parseDuration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)/g))
    total += Number(number) * (unitMs[unit ?? ''] ?? 0);
  return total;
}
