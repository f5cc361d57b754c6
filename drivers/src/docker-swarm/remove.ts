/**
 * `remove` on a swarm: services, then their tasks, then configs, secrets and networks, then volumes.
 *
 * Guarantees: finds what is left by the instance's label on any kind of object, and by the stack's name that
 * the checkpoint keeps; a network that is still in use for a moment is tried again; removing what is absent
 * succeeds.
 */
import type { Removal } from '@cloudlet/crds';
import type { Checkpoint, StepResult } from '../driver.ts';
import type { Engine } from './engine.ts';
import type { Service } from './engine-types.ts';
import { byInstance, byStack, instanceLabel, stackLabel } from './names.ts';
import { removeIdleClusterNetworks, removeObjects, stacksOf } from './objects.ts';
import { removeService } from './services.ts';
import type { RemovedVolumes } from './volumes.ts';

/** Removes volumes by label on every node. */
export type RemoveVolumes = (
  filters: readonly Record<string, readonly string[]>[],
  signal: AbortSignal,
) => Promise<RemovedVolumes>;

export interface RemoveOptions {
  readonly engine: Engine;
  readonly removal: Removal;
  readonly checkpoint: Checkpoint | undefined;
  readonly removeVolumes: RemoveVolumes;
  readonly signal: AbortSignal;
}

/** Not that of `ensure`: a removal that overtakes it is handed what it left. */
const version = 'swarm-remove-1';
const againMs = 300;

/** How long the helper of a node that is there may take to answer. */
const helperPatienceMs = 60_000;

interface Progress {
  readonly stacks: readonly string[];
  /** Since when a node's helper is waited for; milliseconds since the epoch. */
  readonly waitsSince?: number;
}

export async function removeStack(options: RemoveOptions): Promise<StepResult> {
  const { engine, removal, signal } = options;
  const before = progressOf(options.checkpoint);
  const services = await engine.services(byInstance(removal.id), signal);
  const progress: Progress = { ...before, stacks: await stacksIn(options, services, before) };
  // The names are in the checkpoint before the services that carry them go.
  if (services.length > 0 && before.stacks.length === 0)
    return working(progress, 1, 'finding what is there', 0);
  for (const service of services) await removeService(engine, service, signal);
  const own = await ownStacks(engine, progress.stacks, removal.id, signal);
  const alive = await livingTasks(engine, own, signal);
  if (alive > 0) return working(progress, 2, `${alive} tasks are ending`);
  const filters = [byInstance(removal.id), ...own];
  for (const filter of filters) {
    const inUse = await removeObjects(engine, filter, signal);
    if (inUse.length > 0) return working(progress, 3, `still in use: ${inUse.join(', ')}`);
  }
  const shared = await removeIdleClusterNetworks(engine, signal);
  if (shared.length > 0) return working(progress, 3, `still in use: ${shared.join(', ')}`);
  if (!removal.deleteVolumes) return { kind: 'Done' };
  const volumes = await options.removeVolumes(filters, signal);
  return afterVolumes(volumes, progress, engine.clock.now());
}

function afterVolumes(
  { inUse, unreached, isWorthWaiting }: RemovedVolumes,
  progress: Progress,
  now: number,
): StepResult {
  if (inUse.length > 0)
    return working(progress, 4, `volumes still in use: ${[...new Set(inUse)].join(', ')}`);
  if (unreached.length === 0) return { kind: 'Done' };
  const { waitsSince = now } = progress;
  if (isWorthWaiting && now - waitsSince < helperPatienceMs) {
    const message = `waiting for the helpers of ${unreached.join(', ')}`;
    return working({ ...progress, waitsSince }, 4, message, 2_000);
  }
  return {
    kind: 'Done',
    warnings: [`volumes may be left on nodes without a helper: ${unreached.join(', ')}`],
  };
}

async function stacksIn(
  { engine, removal, signal }: RemoveOptions,
  services: readonly Service[],
  before: Progress,
): Promise<readonly string[]> {
  const ofServices = services.map(({ Spec }) => Spec.Labels[stackLabel]);
  const ofObjects = await stacksOf(engine, byInstance(removal.id), signal);
  const all = [...before.stacks, ...ofServices, ...ofObjects];
  return [...new Set(all.filter((name) => name !== undefined))];
}

/** Stacks that nobody else has a service in; a stack that was taken over has objects without our label. */
async function ownStacks(
  engine: Engine,
  stacks: readonly string[],
  id: string,
  signal: AbortSignal,
): Promise<readonly Record<string, readonly string[]>[]> {
  const own: Record<string, readonly string[]>[] = [];
  for (const stack of stacks) {
    const services = await engine.services(byStack(stack), signal);
    if (services.every(({ Spec }) => Spec.Labels[instanceLabel] === id)) own.push(byStack(stack));
  }
  return own;
}

/** Tasks that still have a container; their services, by which they could be listed, are gone. */
async function livingTasks(
  engine: Engine,
  stacks: readonly Record<string, readonly string[]>[],
  signal: AbortSignal,
): Promise<number> {
  let count = 0;
  const alive = ['preparing', 'ready', 'starting', 'running'];
  for (const filter of stacks) {
    const tasks = await engine.tasks(filter, signal);
    count += tasks.filter((task) => alive.includes(task.Status.State)).length;
  }
  return count;
}

function working(progress: Progress, step: number, message: string, ms = againMs): StepResult {
  return {
    kind: 'Working',
    progress: { task: 'removing', step, of: 4, message: message.slice(0, 512) },
    againMs: ms,
    checkpoint: { version, data: progress },
  };
}

function progressOf(checkpoint: Checkpoint | undefined): Progress {
  if (checkpoint?.version !== version) return { stacks: [] };
  return checkpoint.data as Progress;
}
