/**
 * What a service's tasks say of it: settled, still moving, or failed. Pure.
 *
 * Guarantees: the same answer for `ensure` and for observations; a service is settled only when as many
 * tasks as it wants run with its present specification, and none of them started just now; it has failed
 * when the swarm stopped or rolled back its update, or when a task failed twice in its place.
 */
import { appInstReasons } from '@cloudlet/crds';
import { canonicalJson } from '@cloudlet/runtime/base';
import type { Service, Task } from './engine-types.ts';
import { powerLabel } from './names.ts';

export type ServiceState =
  | { readonly kind: 'Settled'; readonly running: number; readonly wanted: number }
  | {
      readonly kind: 'Moving';
      readonly running: number;
      readonly wanted: number;
      readonly message: string;
      readonly againMs: number;
    }
  | {
      readonly kind: 'Failed';
      readonly running: number;
      readonly wanted: number;
      readonly reason: string;
      readonly message: string;
    };

/** A task that began to run less than this ago may be one that ends at once. */
const steadyMs = 500;
/** Failures in one place, within `recentMs`, that make a failure of the service. */
const failuresInPlace = 2;
const recentMs = 600_000;
/** A task that was told to end and still runs after this is on a node that does not answer. */
const endingMs = 60_000;
const pollMs = 500;

export function stateOf(service: Service, tasks: readonly Task[], now: number): ServiceState {
  const current = tasks.filter((task) => isCurrent(task, service));
  const running = current.filter(isRunning).length;
  const wanted = wantedTasks(service, current);
  const counts = { running, wanted };
  const moving = (message: string, againMs = pollMs): ServiceState => ({
    kind: 'Moving',
    ...counts,
    message,
    againMs,
  });
  const stopped = stoppedUpdate(service, current);
  if (stopped) return { kind: 'Failed', ...counts, ...stopped };
  const name = service.Spec.Name;
  const state = service.UpdateStatus?.State;
  if (state === 'rollback_started') return moving(`${name}: rolling back`);
  if (state === 'updating' && willDecide(service)) return moving(`${name}: updating`);
  if (isJob(service) && wanted > 0) return jobState(service, current, counts);
  if (running < wanted) {
    const failure = failureOf(current, now);
    if (failure) return { kind: 'Failed', ...counts, ...failure };
    return moving(`${name}: ${running} of ${wanted} tasks run${reasonToWait(current)}`);
  }
  if (state === 'updating') return moving(`${name}: updating`);
  const ending = tasks.filter((task) => isEnding(task, now)).length;
  if (ending > 0) return moving(`${name}: ${ending} old tasks are ending`);
  const youngMs = steadyMs - ageOfYoungest(current, now);
  if (youngMs > 0) return moving(`${name}: tasks have just started`, youngMs);
  return { kind: 'Settled', ...counts };
}

/** Tasks that run now, whichever specification they are of. */
export function runningTasks(tasks: readonly Task[]): readonly Task[] {
  return tasks.filter(isRunning);
}

export function isRunning(task: Task): boolean {
  return task.Status.State === 'running' && task.DesiredState === 'running';
}

/** While the swarm updates it decides itself whether that failed, unless it was told to go on regardless. */
function willDecide({ Spec }: Service): boolean {
  return Spec.UpdateConfig?.FailureAction !== 'continue';
}

/** Told to end a while ago at most, and not ended yet. */
function isEnding(task: Task, now: number): boolean {
  const isTold = task.DesiredState === 'shutdown' || task.DesiredState === 'remove';
  const hasContainer = ['preparing', 'ready', 'starting', 'running'].includes(task.Status.State);
  return isTold && hasContainer && now - Date.parse(task.UpdatedAt) < endingMs;
}

export function isJob({ Spec }: Service): boolean {
  return Spec.Mode.ReplicatedJob !== undefined || Spec.Mode.GlobalJob !== undefined;
}

/** The last error text of the youngest task that has one. */
export function lastError(tasks: readonly Task[]): string | undefined {
  return newestFirst(tasks).find((task) => task.Status.Err)?.Status.Err;
}

export function newestFirst(tasks: readonly Task[]): readonly Task[] {
  return [...tasks].sort((a, b) => Date.parse(b.CreatedAt) - Date.parse(a.CreatedAt));
}

function wantedTasks(service: Service, current: readonly Task[]): number {
  const { Mode, Labels } = service.Spec;
  if (Labels?.[powerLabel] === 'Off') return 0;
  if (Mode.Replicated) return Mode.Replicated.Replicas ?? 1;
  if (Mode.ReplicatedJob) return Mode.ReplicatedJob.TotalCompletions ?? 1;
  // Of a global service the swarm makes the tasks; none at all means that it has not come to it yet.
  const places = new Set(
    current
      .filter((task) => ['running', 'ready'].includes(task.DesiredState))
      .map((task) => task.NodeID),
  );
  return Math.max(1, places.size);
}

/** Whether a task is of the service's present specification, as far as a restart tells them apart. */
function isCurrent(task: Task, service: Service): boolean {
  const wanted = service.Spec.TaskTemplate;
  return (
    (task.Spec.ForceUpdate ?? 0) === (wanted.ForceUpdate ?? 0) &&
    canonicalJson(task.Spec.ContainerSpec) === canonicalJson(wanted.ContainerSpec)
  );
}

function stoppedUpdate(
  { Spec, UpdateStatus }: Service,
  tasks: readonly Task[],
): { reason: string; message: string } | undefined {
  const state = UpdateStatus?.State;
  if (state !== 'paused' && state !== 'rollback_paused' && state !== 'rollback_completed')
    return undefined;
  const cause = lastError(tasks) ?? UpdateStatus?.Message ?? '';
  return state === 'paused'
    ? { reason: appInstReasons.DeployFailed, message: `${Spec.Name}: update stopped: ${cause}` }
    : { reason: appInstReasons.RolledBack, message: `${Spec.Name}: update rolled back: ${cause}` };
}

function jobState(
  service: Service,
  current: readonly Task[],
  counts: { running: number; wanted: number },
): ServiceState {
  const failure = current.find((task) => task.Status.State === 'rejected');
  if (failure) return { kind: 'Failed', ...counts, ...describeFailure(failure) };
  const hasBegun = current.some(
    (task) => task.Status.State === 'running' || task.Status.State === 'complete',
  );
  if (hasBegun) return { kind: 'Settled', running: counts.running, wanted: counts.running };
  const message = `${service.Spec.Name}: the job has not begun${reasonToWait(current)}`;
  return { kind: 'Moving', ...counts, message, againMs: pollMs };
}

/** A place (slot, or node of a global service) whose tasks failed again and again of late. */
function failureOf(
  current: readonly Task[],
  now: number,
): { reason: string; message: string } | undefined {
  const failed = newestFirst(current).filter(
    ({ Status }) =>
      (Status.State === 'failed' || Status.State === 'rejected') &&
      now - Date.parse(Status.Timestamp) < recentMs,
  );
  const places = new Map<string, number>();
  for (const task of failed) {
    const place = task.Slot === undefined ? (task.NodeID ?? '') : String(task.Slot);
    const count = (places.get(place) ?? 0) + 1;
    places.set(place, count);
  }
  const isRepeated = [...places.values()].some((count) => count >= failuresInPlace);
  return failed[0] && isRepeated ? describeFailure(failed[0]) : undefined;
}

/**
 * Never ImageNotFound, also where a node says `No such image`: the registry has it, or nothing would have been
 * placed, so it is this node that could not pull it, and may at the next try.
 */
function describeFailure(task: Task): { reason: string; message: string } {
  const text = task.Status.Err ?? task.Status.Message ?? task.Status.State;
  const reason = appInstReasons.DeployFailed;
  return { reason, message: `task ${task.Slot ?? task.ID}: ${text}` };
}

/** Why tasks are not placed yet, such as no suitable node. */
function reasonToWait(current: readonly Task[]): string {
  const text = lastError(current.filter((task) => task.DesiredState === 'running'));
  return text ? ` (${text})` : '';
}

/** Since when the youngest running task runs; a node's clock that is ahead counts as long ago. */
function ageOfYoungest(current: readonly Task[], now: number): number {
  const ages = current
    .filter(isRunning)
    .map((task) => now - Date.parse(task.Status.Timestamp))
    .filter((age) => age >= 0);
  return Math.min(Infinity, ...ages);
}
