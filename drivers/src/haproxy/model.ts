/**
 * What the load balancer shall do, from plans and tasks. Pure.
 *
 * Guarantees: a frontend for each public port of each plan, in a stable order, whether or not a task runs; a
 * backend's servers are the tasks of its service where their node published the port. Ranges become one
 * frontend a port. Tasks of nodes that the swarm calls down are servers only while there is no other: after an
 * election it may call nodes so that work.
 */
import type { Plan, PlanPort } from '@cloudlet/crds';
import { convertPlan, type PublishedPort, type StackPlan } from '../compose/index.ts';
import type { Service, SwarmNode, Task } from '../docker-swarm/engine-types.ts';
import { instanceLabel, newStackName, stackLabel } from '../docker-swarm/names.ts';

export interface Server {
  /** The task's id. */
  readonly key: string;
  readonly address: string;
  readonly port: number;
  /** The task was told to stop: it gets no new connection once another one answers. */
  readonly isLeaving: boolean;
}

export interface Check {
  readonly type: 'TCP' | 'HTTP' | 'None';
  readonly path?: string;
}

export interface Frontend {
  /** Name in the configuration: instance id, port's name and public port. */
  readonly name: string;
  readonly instance: string;
  /** Name of the port in the App. */
  readonly port: string;
  readonly publicPort: number;
  readonly mode: 'tcp' | 'http' | 'udp';
  readonly check: Check;
  readonly servers: readonly Server[];
}

export interface SwarmView {
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
  readonly nodes: readonly SwarmNode[];
}

export function frontendsOf(plans: readonly Plan[], view: SwarmView): readonly Frontend[] {
  return plans
    .flatMap((plan) => frontendsOfPlan(plan, view))
    .sort((a, b) => a.publicPort - b.publicPort);
}

function frontendsOfPlan(plan: Plan, view: SwarmView): readonly Frontend[] {
  const ports = (plan.ports ?? []).filter(isBalanced);
  if (ports.length === 0) return [];
  const stack = converted(plan, view);
  return ports.flatMap((port) =>
    numbersOf(port).map(({ target, publicPort }) => ({
      name: `${plan.id}.${port.name}.${publicPort}`,
      instance: plan.id,
      port: port.name,
      publicPort,
      mode: modes[port.protocol],
      check: checkOf(port),
      servers: stack ? serversOf(port, target, stack, view) : [],
    })),
  );
}

const modes = { TCP: 'tcp', HTTP: 'http', UDP: 'udp' } as const;

/** Whether a load balancer serves the port: a public one. */
export const isBalanced = (port: PlanPort): boolean => port.publicPort !== undefined;

/** Absent where the plan cannot be converted: `ensure` says why, and its ports stay without servers. */
function converted(plan: Plan, { services }: SwarmView): StackPlan | undefined {
  const present = services.find(({ Spec }) => Spec.Labels[instanceLabel] === plan.id);
  const stack = present?.Spec.Labels[stackLabel] ?? newStackName(plan);
  try {
    return convertPlan(plan, { stack, ipvs: false });
  } catch {
    return undefined;
  }
}

function numbersOf(port: PlanPort): readonly { target: number; publicPort: number }[] {
  const count = (port.endPort ?? port.port) - port.port + 1;
  return Array.from({ length: count }, (_, index) => ({
    target: port.port + index,
    publicPort: (port.publicPort ?? 0) + index,
  }));
}

function checkOf({ protocol, healthCheck }: PlanPort): Check {
  if (protocol === 'UDP') return { type: 'None' };
  const type = healthCheck?.type ?? (protocol === 'HTTP' ? 'HTTP' : 'TCP');
  return type === 'HTTP' ? { type, path: healthCheck?.path ?? '/' } : { type };
}

function serversOf(
  port: PlanPort,
  target: number,
  stack: StackPlan,
  view: SwarmView,
): readonly Server[] {
  const transport = port.protocol === 'UDP' ? 'udp' : 'tcp';
  const isWanted = (one: PublishedPort): boolean =>
    one.port === port.name && one.target === target && one.protocol === transport;
  const published = stack.published.find(isWanted);
  const name = stack.services.find((service) => service.name === published?.service)?.spec.Name;
  const service = view.services.find(({ Spec }) => Spec.Name === name);
  if (!service) return [];
  const nodes = new Map(view.nodes.map((node) => [node.ID, node]));
  const servers = view.tasks
    .filter((task) => task.ServiceID === service.ID && task.Status.State === 'running')
    .flatMap((task) => {
      const node = nodes.get(task.NodeID ?? '');
      const address = node && addressOf(node);
      const onNode = publishedOnNode(task, target, transport);
      if (address === undefined || onNode === undefined) return [];
      const isLeaving = task.DesiredState !== 'running';
      const isUp = node?.Status.State !== 'down';
      return [{ isUp, server: { key: task.ID, address, port: onNode, isLeaving } }];
    })
    .sort((a, b) => (a.server.key < b.server.key ? -1 : 1));
  const up = servers.filter(({ isUp }) => isUp);
  return (up.length > 0 ? up : servers).map(({ server }) => server);
}

/** The status names the port twice, for IPv4 and IPv6. */
function publishedOnNode(task: Task, target: number, transport: 'tcp' | 'udp'): number | undefined {
  return task.Status.PortStatus?.Ports?.find(
    (port) =>
      port.TargetPort === target && (port.Protocol ?? 'tcp') === transport && port.PublishedPort,
  )?.PublishedPort;
}

/** A manager may give 0.0.0.0 for itself; then its address among the managers is the one. */
function addressOf(node: SwarmNode): string | undefined {
  const own = node.Status.Addr;
  if (own && own !== '0.0.0.0' && !own.startsWith('127.')) return own;
  return node.ManagerStatus?.Addr.replace(/:\d+$/, '');
}
