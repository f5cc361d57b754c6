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
import { LostPorts } from './lost-ports.ts';
import { Observer } from './observer.ts';
import { NodeHelpers } from './helper/client.ts';
import { HelperDeployment } from './helper/deployment.ts';
import { helperPort } from './helper/server.ts';
import type { SiteAuthority } from './helper/site-authority.ts';
import { labelNode, type NodeProbe, probeNode } from './probe.ts';
import { withoutSecrets } from './redact.ts';
import { removeStack } from './remove.ts';
import { openSwarmSession } from './sessions/index.ts';
import type { SwarmPlace } from './sessions/place.ts';
import type { SiteFacts } from './services.ts';
import { siteFacts } from './site.ts';
import { Surveyor } from './survey.ts';
import { removeVolumes } from './volumes.ts';

/** The helpers of the swarm's nodes. */
export interface HelperOptions {
  /** The agent's program for the nodes' architectures; its entry point takes `node` and flags. */
  readonly image: string;
  readonly authority: SiteAuthority;
  /** @default helperPort */
  readonly port?: number;
  /** The engine's socket on every node. @default the manager's */
  readonly socketPath?: string;
}

export interface SwarmDriverOptions {
  /** @default '/var/run/docker.sock' */
  readonly socketPath?: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Where public ports answer. @default the manager's own address */
  readonly addresses?: readonly string[];
  /** Where small facts survive a restart of the agent. Absent: they do not. */
  readonly dataDir?: string;
  /** HAProxy on this node, nginx for UDP: images, and a folder of its own. Absent: no public port answers. */
  readonly loadBalancer?: {
    readonly image: string;
    readonly udpImage?: string;
    readonly dir: string;
  };
  /** Helpers on all nodes, kept and used. Absent: exec and volumes are this node's only. */
  readonly helpers?: HelperOptions;
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
  readonly #deployment: HelperDeployment | undefined;
  readonly #helpers: NodeHelpers | undefined;
  readonly #loadBalancer: LoadBalancer | undefined;
  readonly #lostPorts: LostPorts;
  #observer: Observer | undefined;
  #probe: NodeProbe | undefined;
  readonly #closed = new AbortController();

  constructor(options: SwarmDriverOptions) {
    this.#options = options;
    const { socketPath = '/var/run/docker.sock', clock, dataDir } = options;
    this.#engine = new Engine({ socketPath, clock });
    this.#surveyor = new Surveyor(this.#engine);
    this.#leadership = new Leadership(dataDir);
    this.#deployment = this.#deploy();
    this.#helpers = this.#reach();
    this.#loadBalancer = this.#balance();
    const place = (): SwarmPlace => this.#place();
    this.#lostPorts = new LostPorts({ engine: this.#engine, place, logger: options.logger });
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
      removeVolumes: (filters, within) =>
        removeVolumes({ ...this.#place(), filters, signal: within }),
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
      onSurvey: (survey) => {
        this.#loadBalancer?.survey(survey, until);
        this.#deployment?.survey(survey, until);
        this.#lostPorts.survey(survey, until);
      },
      onEvent: (event) => this.#deployment?.event(event),
      loadBalancer: () => this.#loadBalancer?.verdict,
      backends: (id) => this.#loadBalancer?.backends(id),
    });
    this.#observer = observer;
    yield* observer.run(until);
  }

  publish(plans: readonly Plan[]): void {
    this.#loadBalancer?.publish(plans, this.#closed.signal);
  }

  async leave(signal: AbortSignal): Promise<void> {
    await this.#loadBalancer?.remove(signal);
    await this.#deployment?.leave(signal);
  }

  openSession(target: SessionTarget, signal: AbortSignal): Promise<DriverSession> {
    return openSwarmSession(this.#place(), target, signal);
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

  #deploy(): HelperDeployment | undefined {
    const { helpers, logger, socketPath = '/var/run/docker.sock' } = this.#options;
    if (!helpers) return undefined;
    const facts = (signal: AbortSignal): Promise<SiteFacts> => this.#facts(signal);
    const settings = { port: helperPort, socketPath, ...helpers };
    return new HelperDeployment({ engine: this.#engine, ...settings, facts, logger });
  }

  #reach(): NodeHelpers | undefined {
    const { helpers } = this.#options;
    if (!helpers || !this.#deployment) return undefined;
    const { authority, port = helperPort } = helpers;
    const deployment = this.#deployment;
    return new NodeHelpers({ engine: this.#engine, authority, port, deployment });
  }

  /** Where calls are made from, and the way to the other nodes. */
  #place(): SwarmPlace {
    return {
      engine: this.#engine,
      ownNodeId: async (signal) => (await this.#surveyor.info(signal)).Swarm.NodeID,
      helpers: this.#helpers,
    };
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
}
