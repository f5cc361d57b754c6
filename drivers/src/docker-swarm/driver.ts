/**
 * The driver of platform DockerSwarm, on the engine of one of the swarm's managers.
 *
 * Guarantees: those of the contract; state is in the swarm's own objects and labels. What it keeps besides is
 * the answer to who led last, for the time when the swarm cannot say. Errors hold no secret of the plan.
 */
import type { Plan, Removal } from '@cloudlet/crds';
import { DriverError, type Clock, type Logger } from '@cloudlet/runtime/base';
import type {
  Checkpoint,
  Driver,
  DriverSession,
  Observation,
  SessionTarget,
  StepResult,
} from '../driver.ts';
import { LoadBalancer } from '../haproxy/index.ts';
import { Engine } from './engine.ts';
import { ensureStack } from './ensure.ts';
import { Leadership } from './leadership.ts';
import { Observer } from './observer.ts';
import { type HelperOptions, NodeHelpers } from './helper/client.ts';
import { labelNode, type NodeProbe, probeNode } from './probe.ts';
import { withoutSecrets } from './redact.ts';
import { type RemovedVolumes, removeStack } from './remove.ts';
import { openSwarmSession } from './sessions/index.ts';
import type { SiteFacts } from './services.ts';
import { siteFacts } from './site.ts';
import { Surveyor } from './survey.ts';
import { removeLocalVolumes } from './volumes.ts';

export interface SwarmDriverOptions {
  /** @default '/var/run/docker.sock' */
  readonly socketPath?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where public ports answer. @default the manager's own address */
  readonly addresses?: readonly string[];
  /** Where small facts survive a restart of the agent. Absent: they do not. */
  readonly dataDir?: string;
  /** HAProxy on this node: its image, and a folder of its own. Absent: no public port answers. */
  readonly loadBalancer?: { readonly image: string; readonly dir: string };
  /** How the helpers of other nodes are reached. Absent: exec and volumes are this node's only. */
  readonly helpers?: HelperOptions;
  /** Encrypt the overlay networks of instances. @default false */
  readonly overlayEncrypted?: boolean;
}

export function createSwarmDriver(options: SwarmDriverOptions): Driver {
  return new SwarmDriver(options);
}

class SwarmDriver implements Driver {
  readonly platform = 'DockerSwarm';
  readonly parallelism = 8;
  readonly #options: SwarmDriverOptions;
  readonly #engine: Engine;
  readonly #surveyor: Surveyor;
  readonly #leadership: Leadership;
  readonly #helpers: NodeHelpers | undefined;
  readonly #loadBalancer: LoadBalancer | undefined;
  #observer: Observer | undefined;
  #probe: NodeProbe | undefined;
  readonly #closed = new AbortController();

  constructor(options: SwarmDriverOptions) {
    this.#options = options;
    const { socketPath = '/var/run/docker.sock', clock, dataDir } = options;
    this.#engine = new Engine({ socketPath, clock });
    this.#surveyor = new Surveyor(this.#engine);
    this.#leadership = new Leadership(dataDir);
    this.#helpers = options.helpers && new NodeHelpers(options.helpers, clock);
    this.#loadBalancer = this.#balance();
  }

  async ensure(
    plan: Plan,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult> {
    signal.throwIfAborted();
    if (plan.suspend) return { kind: 'Done' };
    try {
      return await ensureStack({
        engine: this.#engine,
        plan,
        checkpoint,
        facts: await this.#facts(signal),
        overlayEncrypted: this.#options.overlayEncrypted ?? false,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw withoutSecrets(error, plan);
    }
  }

  async remove(
    removal: Removal,
    checkpoint: Checkpoint | undefined,
    signal: AbortSignal,
  ): Promise<StepResult> {
    signal.throwIfAborted();
    return removeStack({
      engine: this.#engine,
      removal,
      checkpoint,
      removeVolumes: (filters, within) => this.#removeVolumes(filters, within),
      signal,
    });
  }

  async *observe(signal: AbortSignal): AsyncIterable<Observation> {
    const until = AbortSignal.any([signal, this.#closed.signal]);
    await this.#labelOwnNode(until);
    const { logger, addresses = [] } = this.#options;
    const observer = new Observer({
      engine: this.#engine,
      surveyor: this.#surveyor,
      leadership: this.#leadership,
      logger,
      addresses,
      onSurvey: (survey) => this.#loadBalancer?.survey(survey, until),
      loadBalancer: () => this.#loadBalancer?.verdict,
      backends: (id) => this.#loadBalancer?.backends(id),
    });
    this.#observer = observer;
    yield* observer.run(until);
  }

  publish(plans: readonly Plan[]): void {
    this.#loadBalancer?.publish(plans, this.#closed.signal);
  }

  openSession(target: SessionTarget, signal: AbortSignal): Promise<DriverSession> {
    const options = {
      engine: this.#engine,
      ownNodeId: async (within: AbortSignal) => (await this.#surveyor.info(within)).Swarm.NodeID,
      helpers: this.#helpers,
    };
    return openSwarmSession(options, target, signal);
  }

  async close(): Promise<void> {
    this.#closed.abort(new Error('the driver was closed'));
  }

  #balance(): LoadBalancer | undefined {
    const { loadBalancer, logger } = this.#options;
    if (!loadBalancer) return undefined;
    const onChange = (): void => this.#observer?.poke();
    return new LoadBalancer({ engine: this.#engine, ...loadBalancer, logger, onChange });
  }

  /** What the nodes say of themselves, and what this one says though nobody has written it down yet. */
  async #facts(signal: AbortSignal): Promise<SiteFacts> {
    this.#probe ??= await probeNode();
    const facts = siteFacts(await this.#engine.nodes(signal));
    const apiVersion = await this.#surveyor.apiVersion(signal);
    return { ...facts, ipvs: facts.ipvs && this.#probe.ipvs, apiVersion };
  }

  /** Tells the other members what this node's kernel can do. What fails is tried with the next observation. */
  async #labelOwnNode(signal: AbortSignal): Promise<void> {
    try {
      const { Swarm } = await this.#surveyor.info(signal);
      const node = (await this.#engine.nodes(signal)).find(({ ID }) => ID === Swarm.NodeID);
      this.#probe = await probeNode();
      if (node) await labelNode(this.#engine, node, this.#probe, signal);
    } catch (error) {
      if (signal.aborted || error instanceof DriverError === false) return;
      this.#options.logger.warn('this node could not be labelled', { error });
    }
  }

  /** Volumes are each node's own: here they are removed at once, elsewhere by the node's helper. */
  async #removeVolumes(
    filters: readonly Record<string, readonly string[]>[],
    signal: AbortSignal,
  ): Promise<RemovedVolumes> {
    const inUse = [...(await removeLocalVolumes(this.#engine, filters, signal))];
    const unreached: string[] = [];
    const { Swarm } = await this.#surveyor.info(signal);
    const others = (await this.#engine.nodes(signal)).filter(({ ID }) => ID !== Swarm.NodeID);
    for (const node of others) {
      try {
        const engine = await this.#helpers?.reach(node, signal);
        if (engine) inUse.push(...(await removeLocalVolumes(engine, filters, signal)));
        else unreached.push(node.Description.Hostname || node.ID);
      } catch (error) {
        if (!(error instanceof DriverError) || error.reason !== 'NoHelper') throw error;
        unreached.push(node.Description.Hostname || node.ID);
      }
    }
    return { unreached, inUse };
  }
}
