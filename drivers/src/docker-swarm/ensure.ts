/**
 * `ensure` on a swarm: one pass brings networks, configs, secrets and services to the plan; then tasks are
 * looked at, once a call, until they are as planned.
 *
 * Guarantees: looks before it makes, so that a repeat heals whatever an abort left; the passes are short,
 * since the waiting is the swarm's; a stack of another owner is never touched.
 */
import { appInstReasons, type Plan } from '@cloudlet/crds';
import { DriverError } from '@cloudlet/runtime/base';
import {
  bindReferences,
  ComposeError,
  type ServiceSpec,
  type StackPlan,
} from '../compose/index.ts';
import type { Checkpoint, StepResult } from '../driver.ts';
import { stateOf, type ServiceState } from './convergence.ts';
import type { Engine } from './engine.ts';
import type { Service, Task } from './engine-types.ts';
import type { Attempt } from './failed-update.ts';
import {
  adoptedFilesLabel,
  byInstance,
  byStack,
  instanceLabel,
  ipvsLabel,
  sequenceLabel,
  newStackName,
  servicesLabel,
  stackLabel,
} from './names.ts';
import {
  adoptableFiles,
  collectFileObjects,
  ensureFileObjects,
  ensureNetworks,
} from './objects.ts';
import {
  adoptService,
  ensureService,
  isAsAdopted,
  removeService,
  type ServiceContext,
  type SiteFacts,
} from './services.ts';
import { desiredStack, type StackOptions } from './stack.ts';

export interface EnsureOptions {
  readonly engine: Engine;
  readonly plan: Plan;
  readonly checkpoint: Checkpoint | undefined;
  readonly facts: SiteFacts;
  readonly signal: AbortSignal;
}

export async function ensureStack(options: EnsureOptions): Promise<StepResult> {
  const { engine, plan, signal } = options;
  const { stack, services, toAdopt } = await findStack(engine, plan, signal);
  const adoptedFiles = services.map(({ Spec }) => Spec.Labels[adoptedFilesLabel]).find(Boolean);
  const ipvs = reliesOnIpvs(options, services);
  const wanted = planned(plan, { stack, ipvs, adoptedFiles });
  const context = { engine, plan, facts: options.facts, signal } satisfies ServiceContext;
  if (toAdopt.length > 0) {
    const labels = {
      [instanceLabel]: plan.id,
      [servicesLabel]: String(toAdopt.length),
      [adoptedFilesLabel]: JSON.stringify(await adoptableFiles(engine, wanted, signal)),
    };
    for (const service of toAdopt) await adoptService(service, labels, context);
    return { kind: 'Working', progress: step(1, 'taking over'), againMs: 0 };
  }
  if (services.length > 0 && services.every((service) => isAsAdopted(service, plan.sequence)))
    return await settle({ ...options, stack, warnings: wanted.warnings, collect: false });
  const networks = await ensureNetworks(engine, wanted.networks, signal);
  const ids = await ensureFileObjects(engine, wanted, signal);
  const bound = wanted.services.map(({ spec }) =>
    withNetworkIds(bindReferences(spec, ids), networks.ids),
  );
  const warnings = [...wanted.warnings, ...networks.warnings];
  const tried = { ...triedOf(options.checkpoint) };
  let isChanged = false;
  let isRollingBack = false;
  for (const spec of bound) {
    const current = services.find((service) => service.Spec.Name === spec.Name);
    const result = await ensureService(spec, current, tried[spec.Name], context);
    isChanged ||= result.changed;
    isRollingBack ||= result.isRollingBack ?? false;
    if (result.tried !== undefined) tried[spec.Name] = result.tried;
    warnings.push(...result.warnings);
  }
  for (const service of services) {
    if (bound.some(({ Name }) => Name === service.Spec.Name)) continue;
    await removeService(engine, service, signal);
    isChanged = true;
  }
  const checkpoint = { version: checkpointVersion, data: { tried } };
  if (isRollingBack) {
    const progress = step(3, 'rolling back');
    return { kind: 'Working', progress, againMs: 1000, checkpoint, ...told(warnings) };
  }
  if (isChanged) {
    const progress = step(3, 'services');
    return { kind: 'Working', progress, againMs: 250, checkpoint, ...told(warnings) };
  }
  return await settle({ ...options, stack, warnings, collect: true });
}

const checkpointVersion = 'swarm-2';

/** The last update of each service, by name. Without it a roll-back is taken to be of this plan. */
function triedOf(checkpoint: Checkpoint | undefined): Readonly<Record<string, Attempt>> {
  if (checkpoint?.version !== checkpointVersion) return {};
  return (checkpoint.data as { tried?: Record<string, Attempt> }).tried ?? {};
}

/**
 * A stack stays as it was made, whatever other nodes come: what needs no IPVS works everywhere, and what
 * relies on it is changed only with the plan.
 */
function reliesOnIpvs({ plan, facts }: EnsureOptions, services: readonly Service[]): boolean {
  const labels = services.find(({ Spec }) => ipvsLabel in Spec.Labels)?.Spec.Labels;
  if (!labels) return facts.ipvs;
  if (labels[ipvsLabel] === 'false') return false;
  return facts.ipvs || labels[sequenceLabel] === String(plan.sequence);
}

function planned(plan: Plan, options: StackOptions): StackPlan {
  try {
    return desiredStack(plan, options);
  } catch (error) {
    if (!(error instanceof ComposeError)) throw error;
    const options = { cause: error, permanent: true };
    throw new DriverError(appInstReasons.InvalidCompose, error.message, options);
  }
}

interface FoundStack {
  readonly stack: string;
  readonly services: readonly Service[];
  /** Services of the stack that is to be taken over and is not ours yet. */
  readonly toAdopt: readonly Service[];
}

/** The stack by the instance's label, else by name; never one that is somebody else's. */
async function findStack(engine: Engine, plan: Plan, signal: AbortSignal): Promise<FoundStack> {
  const own = await engine.services(byInstance(plan.id), signal);
  const named = own[0]?.Spec.Labels[stackLabel];
  const stack = named ?? plan.adoptStack ?? newStackName(plan);
  const all = await engine.services(byStack(stack), signal);
  const foreign = all.filter(({ Spec }) => Spec.Labels[instanceLabel] !== plan.id);
  const taken = foreign.find(({ Spec }) => Spec.Labels[instanceLabel] !== undefined);
  const isOurs = own.length > 0 || foreign.length === 0 || plan.adoptStack === stack;
  if (taken || !isOurs) {
    throw new DriverError(
      appInstReasons.DeployFailed,
      `stack ${stack} belongs to another owner; adopt it by name, or name the instance otherwise`,
      { permanent: true },
    );
  }
  return { stack, services: all, toAdopt: foreign };
}

/** The engine keeps ids of networks; so must what is compared with it. */
function withNetworkIds(spec: ServiceSpec, ids: ReadonlyMap<string, string>): ServiceSpec {
  const Networks = spec.TaskTemplate.Networks.map((one) => ({
    ...one,
    Target: ids.get(one.Target) ?? one.Target,
  }));
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks } };
}

interface Settling extends EnsureOptions {
  readonly stack: string;
  readonly warnings: readonly string[];
  /** Whether configs and secrets that no service has any more are removed. */
  readonly collect: boolean;
}

/** Everything is as asked for; are the tasks? */
async function settle({
  engine,
  stack,
  warnings,
  checkpoint,
  collect,
  signal,
}: Settling): Promise<StepResult> {
  const services = await engine.services(byStack(stack), signal);
  const tasks = await tasksOf(engine, services, signal);
  const states = services.map((service) =>
    stateOf(service, tasks.get(service.ID) ?? [], engine.clock.now()),
  );
  const failed = states.find((state) => state.kind === 'Failed');
  if (failed) throw new DriverError(failed.reason, failed.message);
  const moving = states.filter((state) => state.kind === 'Moving');
  if (moving.length > 0) {
    const result = working(states, moving, warnings);
    return checkpoint ? { ...result, checkpoint } : result;
  }
  if (collect) await collectFileObjects(engine, stack, services, signal);
  return { kind: 'Done', ...told(warnings) };
}

function working(
  states: readonly ServiceState[],
  moving: readonly Extract<ServiceState, { kind: 'Moving' }>[],
  warnings: readonly string[],
): Extract<StepResult, { kind: 'Working' }> {
  const running = states.reduce((sum, state) => sum + Math.min(state.running, state.wanted), 0);
  const wanted = states.reduce((sum, state) => sum + state.wanted, 0);
  return {
    kind: 'Working',
    progress: {
      task: 'starting tasks',
      step: running,
      of: wanted,
      message: moving
        .map((state) => state.message)
        .join('; ')
        .slice(0, 512),
    },
    againMs: Math.min(...moving.map((state) => state.againMs)),
    ...told(warnings),
  };
}

export async function tasksOf(
  engine: Engine,
  services: readonly Service[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly Task[]>> {
  if (services.length === 0) return new Map();
  const tasks = await engine.tasks({ service: services.map(({ ID }) => ID) }, signal);
  return Map.groupBy(tasks, (task) => task.ServiceID);
}

function step(number: number, task: string): { task: string; step: number; of: number } {
  return { task, step: number, of: 4 };
}

function told(warnings: readonly string[]): { warnings?: readonly string[] } {
  return warnings.length > 0 ? { warnings } : {};
}
