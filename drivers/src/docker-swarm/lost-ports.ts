/**
 * Tasks that run without the ports that they should have on their nodes. A swarm makes them in the moment in
 * which it elects a leader, and they never get these: healthy, and reached by nobody.
 *
 * Guarantees: only the member that leads acts; what the swarm's lists merely forgot, as after any election
 * (`haproxy/known-ports.ts`), costs one question to the engine of its node and changes nothing; nobody is asked
 * for 30 s after a node that did not answer. A service with such a task is begun anew by its own rules of an
 * update, once in a minute at most.
 */
import { describeError, type Logger } from '@cloudlet/runtime/base';
import type { Engine } from './engine.ts';
import type { Service, Task } from './engine-types.ts';
import { restartService } from './services.ts';
import { engineOf, type SwarmPlace } from './sessions/place.ts';
import type { Survey } from './survey.ts';

export interface LostPortsOptions {
  readonly engine: Engine;
  readonly place: () => SwarmPlace;
  readonly logger: Logger;
}

interface Suspect {
  readonly service: Service;
  readonly task: Task;
  /** Ports of the container that it should have on its node. */
  readonly wanted: readonly number[];
}

/** A swarm tells the ports of a task within seconds after it runs, if at all. */
const graceMs = 15_000;
const restartEveryMs = 60_000;
/** How long nobody is asked after a node that could not be. */
const unansweredMs = 30_000;

export class LostPorts {
  readonly #options: LostPortsOptions;
  #running: Promise<void> | undefined;
  /** Tasks that have their ports by their engine. */
  #known: ReadonlySet<string> = new Set();
  #notBefore = -Infinity;
  /** When services were begun anew, by the monotonic clock. */
  readonly #restarted = new Map<string, number>();

  constructor(options: LostPortsOptions) {
    this.#options = options;
  }

  survey(view: Survey, signal: AbortSignal): void {
    const own = view.info.Swarm.NodeID;
    if (!view.nodes.find(({ ID }) => ID === own)?.ManagerStatus?.Leader) return;
    if (this.#options.engine.clock.monotonic() < this.#notBefore) return;
    this.#running ??= this.#look(view, signal)
      .catch((error: unknown) => {
        if (signal.aborted) return;
        this.#options.logger.warn('lost ports could not be looked for', { error });
      })
      .finally(() => (this.#running = undefined));
  }

  /** Resolves when no look is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #look(view: Survey, signal: AbortSignal): Promise<void> {
    const listed = new Set(view.tasks.map(({ ID }) => ID));
    this.#known = new Set([...this.#known].filter((id) => listed.has(id)));
    const services = new Set(view.services.map(({ ID }) => ID));
    for (const id of this.#restarted.keys()) if (!services.has(id)) this.#restarted.delete(id);
    for (const service of view.services.filter(isAtRest)) {
      const wanted = hostPortsOf(service);
      if (wanted.length === 0 || this.#isFresh(service)) continue;
      for (const task of view.tasks.filter((one) => this.#isSuspect(one, service)))
        if (await this.#lacks({ service, task, wanted }, view, signal)) {
          await this.#restart(service, task, signal);
          break;
        }
    }
  }

  #isSuspect({ ID, ServiceID, DesiredState, Status }: Task, service: Service): boolean {
    if (ServiceID !== service.ID || this.#known.has(ID)) return false;
    if (DesiredState !== 'running' || Status.State !== 'running') return false;
    if (Status.PortStatus?.Ports?.some(({ PublishedPort }) => PublishedPort)) return false;
    return this.#options.engine.clock.now() - Date.parse(Status.Timestamp) >= graceMs;
  }

  /** Whether the engine of its node has the container, and none of the ports with it. */
  async #lacks(
    { service, task, wanted }: Suspect,
    { nodes }: Survey,
    signal: AbortSignal,
  ): Promise<boolean> {
    const node = nodes.find(({ ID }) => ID === task.NodeID);
    const id = task.Status.ContainerStatus?.ContainerID;
    if (node?.Status.State !== 'ready' || !id) return false;
    try {
      const found = { name: task.ID, service, task, node };
      const engine = await engineOf(this.#options.place(), found, 'looking for ports', signal);
      const [container] = await engine.containers({ id: [id] }, signal);
      if (!container) return false; // it ends at this moment
      const has = container.Ports.some(
        ({ PrivatePort, PublicPort }) => PublicPort && wanted.includes(PrivatePort),
      );
      if (has) this.#known = new Set([...this.#known, task.ID]);
      return !has;
    } catch (error) {
      signal.throwIfAborted();
      // A helper may be on its way.
      this.#notBefore = this.#options.engine.clock.monotonic() + unansweredMs;
      const reason = describeError(error);
      this.#options.logger.debug('a node could not be asked for ports', { task: task.ID, reason });
      return false;
    }
  }

  async #restart(service: Service, task: Task, signal: AbortSignal): Promise<void> {
    const { engine, logger } = this.#options;
    this.#restarted.set(service.ID, engine.clock.monotonic());
    logger.warn('a service runs without its ports and is begun anew', {
      service: service.Spec.Name,
      task: task.ID,
    });
    await restartService(engine, service, signal);
  }

  #isFresh({ ID }: Service): boolean {
    const at = this.#restarted.get(ID);
    return at !== undefined && this.#options.engine.clock.monotonic() - at < restartEveryMs;
  }
}

/** While it is updated, tasks have the ports of before. */
function isAtRest({ UpdateStatus }: Service): boolean {
  return [undefined, 'completed', 'rollback_completed'].includes(UpdateStatus?.State);
}

/** Ports of the container that each task is to have on its node. */
const hostPortsOf = ({ Spec }: Service): readonly number[] =>
  (Spec.EndpointSpec.Ports ?? []).flatMap(({ PublishMode, TargetPort }) =>
    PublishMode === 'host' && TargetPort ? [TargetPort] : [],
  );
