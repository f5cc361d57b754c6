/** Which task a session is with: by name, by service, or the first that runs. Pure but for the listing. */
import { DriverError } from '@cloudlet/runtime/base';
import type { SessionTarget } from '../../driver.ts';
import { runningTasks } from '../convergence.ts';
import type { Engine } from '../engine.ts';
import type { Service, SwarmNode, Task } from '../engine-types.ts';
import { byInstance } from '../names.ts';

export interface FoundTask {
  readonly name: string;
  readonly service: Service;
  readonly task: Task;
  readonly node: SwarmNode;
}

export interface Candidates {
  readonly services: readonly Service[];
  readonly tasks: readonly FoundTask[];
}

/** @throws DriverError when the instance is not at the site. */
export async function candidates(
  engine: Engine,
  { instance }: SessionTarget,
  signal: AbortSignal,
): Promise<Candidates> {
  if (instance === undefined) throw new DriverError('TargetNotFound', 'no instance was named');
  const services = await engine.services(byInstance(instance), signal);
  if (services.length === 0)
    throw new DriverError('TargetNotFound', `the site has no instance ${instance}`);
  const ids = services.map(({ ID }) => ID);
  const [tasks, nodes] = await Promise.all([
    engine.tasks({ service: ids, 'desired-state': ['running'] }, signal),
    engine.nodes(signal),
  ]);
  const found = runningTasks(tasks).flatMap((task) => {
    const service = services.find(({ ID }) => ID === task.ServiceID);
    const node = nodes.find(({ ID }) => ID === task.NodeID);
    if (!service || !node) return [];
    const place = task.Slot ?? node.Description.Hostname;
    return [{ name: `${service.Spec.Name}.${place}`, service, task, node }];
  });
  return { services, tasks: found.sort((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** Tasks that the target's name fits: a task, a service, or everything without a name. */
export function matching(found: Candidates, target: string | undefined): readonly FoundTask[] {
  if (target === undefined) return found.tasks;
  return found.tasks.filter(
    ({ name, service, task }) =>
      name === target ||
      task.ID === target ||
      service.Spec.Name === target ||
      service.Spec.Name.endsWith(`_${target}`),
  );
}

export function servicesMatching(
  found: Candidates,
  target: string | undefined,
): readonly Service[] {
  if (target === undefined) return found.services;
  return found.services.filter(
    ({ Spec }) => Spec.Name === target || Spec.Name.endsWith(`_${target}`),
  );
}

export function notFound(target: SessionTarget, what: string): DriverError {
  const name = target.target ?? `instance ${target.instance ?? ''}`;
  return new DriverError('TargetNotFound', `${name}: ${what}`);
}
