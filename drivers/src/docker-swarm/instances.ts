/**
 * What services and tasks say of the instances. Pure.
 *
 * Guarantees: an instance is whatever services bear its label, so nothing that runs is missed; the sequence
 * is that of the plan only when all of the plan's services bear it; a task's past tells its restarts and its
 * last error.
 */
import { appInstReasons, type TaskStatus } from '@cloudlet/crds';
import type { InstanceObservation, Verdict } from '../driver.ts';
import {
  isJob,
  lastError,
  newestFirst,
  runningTasks,
  stateOf,
  type ServiceState,
} from './convergence.ts';
import type { Service, SwarmNode, Task } from './engine-types.ts';
import { failedUpdateOf } from './failed-update.ts';
import { platformName } from './images.ts';
import {
  instanceLabel,
  platformsLabel,
  powerLabel,
  sequenceLabel,
  servicesLabel,
  stackLabel,
} from './names.ts';
import { emulatedBy } from './site.ts';

export interface InstanceInputs {
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
  readonly nodes: readonly SwarmNode[];
  readonly now: number;
}

export type Backends = NonNullable<InstanceObservation['backends']>;

/** All instances, by id. */
export function observeInstances(
  inputs: InstanceInputs,
  backends: (id: string) => Backends | undefined = () => undefined,
): ReadonlyMap<string, InstanceObservation> {
  const ofService = Map.groupBy(inputs.tasks, (task) => task.ServiceID);
  const nodes = new Map(inputs.nodes.map((node) => [node.ID, node]));
  const byId = Map.groupBy(inputs.services, ({ Spec }) => Spec.Labels?.[instanceLabel] ?? '');
  byId.delete('');
  return new Map(
    [...byId].map(([id, services]) => {
      const members = services
        .map((service) => member(service, ofService.get(service.ID) ?? [], inputs.now))
        .sort((a, b) => (a.service.Spec.Name < b.service.Spec.Name ? -1 : 1));
      return [id, observeInstance(id, members, nodes, backends(id))];
    }),
  );
}

interface Member {
  readonly service: Service;
  readonly tasks: readonly Task[];
  readonly state: ServiceState;
}

function member(service: Service, tasks: readonly Task[], now: number): Member {
  return { service, tasks, state: stateOf(service, tasks, now) };
}

function observeInstance(
  id: string,
  members: readonly Member[],
  nodes: ReadonlyMap<string, SwarmNode>,
  backends: Backends | undefined,
): InstanceObservation {
  const labels = members[0]?.service.Spec.Labels;
  return {
    id,
    name: labels?.[stackLabel] ?? id,
    sequence: wholeSequence(members),
    deployed: deployedOf(members),
    healthy: healthyOf(members, backends),
    tasks: members.flatMap((one) => taskStatuses(one, nodes)).slice(0, 200),
    ...(backends ? { backends } : {}),
  };
}

/** The plan that all services bear; 0 where one is missing or on its way. */
function wholeSequence(members: readonly Member[]): number {
  const sequences = new Set(members.map(({ service }) => service.Spec.Labels[sequenceLabel]));
  const wanted = Number(members[0]?.service.Spec.Labels[servicesLabel] ?? Number.NaN);
  const [sequence] = sequences;
  if (sequences.size !== 1 || wanted !== members.length) return 0;
  return Number(sequence ?? 0) || 0;
}

function deployedOf(members: readonly Member[]): Verdict {
  const failedUpdate = members.map(({ service }) => failedUpdateOf(service)).find(Boolean);
  if (failedUpdate)
    return { status: 'False', reason: appInstReasons.RolledBack, message: failedUpdate.message };
  const states = members.map(({ state }) => state);
  const failed = states.find((state) => state.kind === 'Failed');
  if (failed) return { status: 'False', reason: failed.reason, message: failed.message };
  const moving = states.filter((state) => state.kind === 'Moving');
  const message = moving.map((state) => state.message).join('; ');
  if (moving.length > 0)
    return { status: 'False', reason: appInstReasons.Progressing, message: message.slice(0, 1024) };
  if (wholeSequence(members) === 0)
    return {
      status: 'False',
      reason: appInstReasons.Progressing,
      message: 'not all services are there',
    };
  return {
    status: 'True',
    reason: appInstReasons.Deployed,
    message: `${count(members)} as planned`,
  };
}

/** It works when each service has a task that runs, and each balanced port a backend that answers. */
function healthyOf(members: readonly Member[], backends: Backends | undefined): Verdict {
  if (members.every(({ service }) => service.Spec.Labels[powerLabel] === 'Off'))
    return { status: 'False', reason: appInstReasons.PoweredOff, message: 'powered off' };
  const idle = members.filter(
    ({ service, tasks, state }) =>
      !isJob(service) && wants(state, service) && runningTasks(tasks).length === 0,
  );
  const [first] = idle;
  if (first) {
    const error = lastError(first.tasks);
    const name = first.service.Spec.Name;
    return error
      ? { status: 'False', reason: appInstReasons.Unhealthy, message: `${name}: ${error}` }
      : {
          status: 'Unknown',
          reason: appInstReasons.Starting,
          message: `${name}: no task runs yet`,
        };
  }
  const missing = backends?.find((port) => port.total === 0);
  if (missing && members.some(({ service, state }) => wants(state, service)))
    return {
      status: 'Unknown',
      reason: appInstReasons.Starting,
      message: `port ${missing.port}: the load balancer has no backend yet`,
    };
  const deaf = backends?.find((port) => port.total > 0 && port.up === 0);
  if (deaf) {
    const message = `port ${deaf.port}: none of ${deaf.total} backends answers its check`;
    return { status: 'False', reason: appInstReasons.Unhealthy, message };
  }
  return { status: 'True', reason: appInstReasons.Healthy, message: count(members) };
}

function wants(state: ServiceState, { Spec }: Service): boolean {
  return state.wanted > 0 && Spec.Labels[powerLabel] !== 'Off';
}

function count(members: readonly Member[]): string {
  const running = members.reduce((sum, { tasks }) => sum + runningTasks(tasks).length, 0);
  const wanted = members.reduce((sum, { state }) => sum + state.wanted, 0);
  return `${running} of ${wanted} tasks run`;
}

/** One entry a place: its present task, with what came before it counted and its last error. */
function taskStatuses(
  { service, tasks }: Member,
  nodes: ReadonlyMap<string, SwarmNode>,
): readonly TaskStatus[] {
  const places = Map.groupBy(newestFirst(tasks), (task) => task.Slot ?? task.NodeID ?? task.ID);
  return [...places]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([place, history]) => {
      const present = history.find((task) => task.DesiredState === 'running') ?? history[0];
      return present && isWorthTelling(present)
        ? [taskStatus(service, place, present, history, nodes)]
        : [];
    });
}

/** Of what was scaled away, what ended well says nothing. */
function isWorthTelling(task: Task): boolean {
  if (task.DesiredState === 'running' || task.DesiredState === 'ready') return true;
  return ['failed', 'rejected', 'running', 'complete'].includes(task.Status.State);
}

/** The platform of the image that the node runs: its own, or else one that it emulates. */
function imageArchitecture(service: Service, node: SwarmNode | undefined): string | undefined {
  const platforms = (service.Spec.Labels[platformsLabel] ?? '').split(',');
  if (!node) return undefined;
  const { OS: os, Architecture: architecture } = node.Description.Platform;
  const runs = [platformName({ os, architecture }), ...emulatedBy(node.Spec.Labels)];
  const known = runs.find((platform) => platform !== undefined && platforms.includes(platform));
  // A node without an agent has not said what it emulates; of a single platform there is no doubt.
  return known ?? (platforms.length === 1 && platforms[0] ? platforms[0] : undefined);
}

function taskStatus(
  service: Service,
  place: string | number,
  present: Task,
  history: readonly Task[],
  nodes: ReadonlyMap<string, SwarmNode>,
): TaskStatus {
  const node = present.NodeID === undefined ? undefined : nodes.get(present.NodeID);
  const error = lastError(history);
  const architecture = imageArchitecture(service, node);
  const suffix = typeof place === 'number' ? String(place) : (node?.Description.Hostname ?? place);
  const before = history.filter(
    (task) =>
      task.ID !== present.ID && ['failed', 'rejected', 'complete'].includes(task.Status.State),
  );
  return {
    name: `${service.Spec.Name}.${suffix}`.slice(0, 253),
    service: service.Spec.Name,
    ...(node ? { node: node.Description.Hostname } : {}),
    state: present.Status.State,
    image: present.Spec.ContainerSpec.Image.slice(0, 512),
    ...(architecture ? { architecture } : {}),
    restarts: before.length,
    since: new Date(present.Status.Timestamp).toISOString(),
    ...(error ? { error: error.slice(0, 1024) } : {}),
  };
}
