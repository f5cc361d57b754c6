/**
 * Updates that the swarm gave up: what is written of them, and when they are tried again. Pure.
 *
 * Guarantees: what failed, why and how often is on the service itself, which runs its previous specification
 * meanwhile, so every member knows it; the same content is tried again after ever longer, for nobody can tell
 * for sure a program that does not work from a node that hung while it was started.
 */
import { appInstReasons } from '@cloudlet/crds';
import { backoffMs, DriverError } from '@cloudlet/runtime/base';
import { lastError } from './convergence.ts';
import type { Service, SwarmNode, Task } from './engine-types.ts';
import { failedLabel } from './names.ts';

/** What is written on a service whose update was rolled back. */
export interface FailedUpdate {
  /** Hash of what the update was to. */
  readonly content: string;
  readonly message: string;
  /** How often it failed in a row. Absent, with `retryAt`: an agent wrote it that did not try again. */
  readonly count?: number;
  /** From when on it is tried again, in milliseconds since the epoch. */
  readonly retryAt?: number;
}

/** An update that was begun: to what, and for the how many-th time in a row. */
export interface Attempt {
  readonly content: string;
  readonly number: number;
}

/** What is known of an update that the swarm gave up. */
export interface GivenUp {
  readonly service: Service;
  /** Of the service, of all its specifications. */
  readonly tasks: readonly Task[];
  readonly nodes: readonly SwarmNode[];
  readonly attempt: Attempt;
  readonly now: number;
}

/** After a node's failure: soon, since the tasks go elsewhere and an App's roll-out has five minutes. */
const nodeRetryMs = 30_000;
/** After a program's: later than its roll-out counts as failed, so that the region decides first. */
const programRetryMs = 600_000;
const longestRetryMs = 6 * 3_600_000;

export function failedUpdateOf({ Spec }: Service): FailedUpdate | undefined {
  const text = Spec.Labels[failedLabel];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as FailedUpdate;
  } catch {
    return undefined; // not ours: a person wrote it
  }
}

/** The swarm went back to the specification before, or stopped on its way there. */
export function isRolledBack({ UpdateStatus }: Service): boolean {
  return UpdateStatus?.State === 'rollback_completed' || UpdateStatus?.State === 'rollback_paused';
}

/**
 * Whether a roll-back that the swarm tells of is one of `content` that is not written down yet.
 * @param tried what the last update was, where that is known; else a roll-back is taken to be of `content`.
 */
export function isNewFailure(
  service: Service,
  content: string,
  tried: Attempt | undefined,
): boolean {
  if (!isRolledBack(service) || (tried && tried.content !== content)) return false;
  const known = failedUpdateOf(service);
  return known?.content !== content || (tried?.number ?? 0) > countOf(known);
}

/** What is to be written of an update that was rolled back. */
export function failureOf(given: GivenUp): FailedUpdate {
  const { service, attempt, now } = given;
  const retryAt = now + retryMs(given);
  const cause = `${service.Spec.Name}: update rolled back: ${causeOf(given)}`;
  const { content, number: count } = attempt;
  return { content, message: withOutlook(cause, count, retryAt), count, retryAt };
}

/**
 * The next try of `content`, or nothing is done before its time.
 * @throws DriverError until then.
 */
export function nextAttempt(service: Service, content: string, now: number): Attempt {
  const known = failedUpdateOf(service);
  if (known?.content !== content) return { content, number: 1 };
  if ((known.retryAt ?? 0) > now) throw refusal(known, now);
  return { content, number: countOf(known) + 1 };
}

export function refusal({ message, retryAt = 0 }: FailedUpdate, now: number): DriverError {
  return new DriverError(appInstReasons.RolledBack, message, {
    retryAfterMs: Math.max(0, retryAt - now),
  });
}

/**
 * The next try of an update that the swarm stopped half-way, as compose files ask for by default. Nothing of
 * it can be written on the service, for that would have the swarm go on.
 * @throws DriverError until its time.
 */
export function resumption(given: GivenUp): Attempt {
  const { service, tasks, attempt, now } = given;
  const { content, number } = attempt;
  const failures = ownTasks(service, tasks).filter(hasFailed);
  const failedAt = Math.max(
    startOf(service),
    ...failures.map(({ Status }) => Date.parse(Status.Timestamp)),
  );
  // A node's clock may be ahead: what failed did so by now.
  const retryAt = Math.min(failedAt, now) + retryMs(given);
  if (retryAt <= now) return { content, number: number + 1 };
  const cause = `${service.Spec.Name}: update stopped: ${causeOf(given)}`;
  throw new DriverError(appInstReasons.DeployFailed, withOutlook(cause, number, retryAt), {
    retryAfterMs: retryAt - now,
  });
}

const countOf = ({ count = 1 }: FailedUpdate): number => count;

const hasFailed = ({ Status }: Task): boolean => ['failed', 'rejected'].includes(Status.State);

/** When the update began, by the leader's clock, as all times but those of tasks' states. */
const startOf = ({ UpdateStatus }: Service): number =>
  Date.parse(UpdateStatus?.StartedAt ?? '') || 0;

/** Tasks that were made since the update began: its own, and those of its roll-back. */
function ownTasks(service: Service, tasks: readonly Task[]): readonly Task[] {
  const since = startOf(service);
  return tasks.filter(({ CreatedAt }) => Date.parse(CreatedAt) >= since);
}

function retryMs(given: GivenUp): number {
  const baseMs = isOfProgram(given) ? programRetryMs : nodeRetryMs;
  return backoffMs(given.attempt.number - 1, { baseMs, maxMs: longestRetryMs });
}

/** What a program does not end with by itself: somebody killed it, as an engine that goes does. */
const killedCodes = [137, 143];

/**
 * Whether a task ended by itself on a node that is there. One that its node rejected could not be started there;
 * what runs on a node that hung, was lost or came back is ended by the swarm or the engine.
 */
function isOfProgram({ service, tasks, nodes }: GivenUp): boolean {
  const ready = new Set(nodes.filter(({ Status }) => Status.State === 'ready').map(({ ID }) => ID));
  return ownTasks(service, tasks).some(
    ({ Status, NodeID = '' }) =>
      Status.State === 'failed' &&
      ready.has(NodeID) &&
      (!killedCodes.includes(Status.ContainerStatus?.ExitCode ?? 0) ||
        /unhealthy/i.test(Status.Err ?? '')),
  );
}

function causeOf({ service, tasks, nodes }: GivenUp): string {
  const own = ownTasks(service, tasks);
  const idle = own.filter(wasNeverBegun).map(({ NodeID }) => NodeID);
  const names = nodes
    .filter(({ ID }) => idle.includes(ID))
    .map(({ Description }) => Description.Hostname);
  return (
    lastError(own.filter(hasFailed)) ??
    (names.length > 0 ? `${names.join(', ')} did not start what was placed there` : undefined) ??
    service.UpdateStatus?.Message ??
    'its tasks did not stay up'
  );
}

/** Told to end without ever having had a container. */
const wasNeverBegun = (task: Task): boolean =>
  task.DesiredState === 'shutdown' && !hasFailed(task) && !task.Status.ContainerStatus?.ContainerID;

/** The cause may be long; when it is tried again is told in any case. */
function withOutlook(cause: string, count: number, retryAt: number): string {
  const times = count === 1 ? 'once' : `${count} times`;
  const at = new Date(retryAt).toISOString().replace(/\.\d+Z$/, 'Z');
  return `${cause.slice(0, 420)} (failed ${times}; next try ${at})`;
}
