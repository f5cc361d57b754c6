/**
 * What the load balancer shall do, from plans and tasks. Pure.
 *
 * Guarantees: a frontend for each public port of each plan, in a stable order, whether or not a task runs; a
 * backend's servers are the tasks of its service where their node published the port. Ranges become one
 * frontend a port. UDP is not HAProxy's.
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
  readonly mode: 'tcp' | 'http';
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
      mode: port.protocol === 'HTTP' ? ('http' as const) : ('tcp' as const),
      check: checkOf(port),
      servers: stack ? serversOf(port, target, stack, view) : [],
    })),
  );
}

/** Whether HAProxy serves the port: a public one of TCP. */
export const isBalanced = (port: PlanPort): boolean =>
  port.publicPort !== undefined && port.protocol !== 'UDP';

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
  const type = healthCheck?.type ?? (protocol === 'HTTP' ? 'HTTP' : 'TCP');
  return type === 'HTTP' ? { type, path: healthCheck?.path ?? '/' } : { type };
}

function serversOf(
  port: PlanPort,
  target: number,
  stack: StackPlan,
  view: SwarmView,
): readonly Server[] {
  const isWanted = (one: PublishedPort): boolean =>
    one.port === port.name && one.target === target && one.protocol === 'tcp';
  const published = stack.published.find(isWanted);
  const name = stack.services.find((service) => service.name === published?.service)?.spec.Name;
  const service = view.services.find(({ Spec }) => Spec.Name === name);
  if (!service) return [];
  const addresses = new Map(view.nodes.map((node) => [node.ID, addressOf(node)]));
  return view.tasks
    .filter((task) => task.ServiceID === service.ID && task.Status.State === 'running')
    .flatMap((task) => {
      const address = addresses.get(task.NodeID ?? '');
      const onNode = publishedOnNode(task, target);
      return address === undefined || onNode === undefined
        ? []
        : [{ key: task.ID, address, port: onNode, isLeaving: task.DesiredState !== 'running' }];
    })
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** The status names the port twice, for IPv4 and IPv6. */
function publishedOnNode(task: Task, target: number): number | undefined {
  return task.Status.PortStatus?.Ports?.find(
    (port) =>
      port.TargetPort === target && (port.Protocol ?? 'tcp') === 'tcp' && port.PublishedPort,
  )?.PublishedPort;
}

/** A manager may give 0.0.0.0 for itself; then its address among the managers is the one. Down nodes have none. */
function addressOf(node: SwarmNode): string | undefined {
  if (node.Status.State === 'down') return undefined;
  const own = node.Status.Addr;
  if (own && own !== '0.0.0.0' && !own.startsWith('127.')) return own;
  return node.ManagerStatus?.Addr.replace(/:\d+$/, '');
}
