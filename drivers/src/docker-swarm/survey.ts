/**
 * Everything that one look at the swarm gives: nodes, services and tasks.
 *
 * Guarantees: what the swarm cannot say (no leader, no engine, no manager) is a value, not an exception; the
 * engine itself is asked seldom, because it answers only after 20 s while there is no leader, where lists
 * fail at once.
 */
import { cloudletReasons } from '@cloudlet/crds';
import { describeError, DriverError } from '@cloudlet/runtime/base';
import type { Engine } from './engine.ts';
import type { EngineInfo, Service, SwarmNode, Task } from './engine-types.ts';
import { instanceLabel } from './names.ts';

export interface Survey {
  readonly kind: 'Survey';
  readonly info: EngineInfo;
  readonly nodes: readonly SwarmNode[];
  readonly services: readonly Service[];
  readonly tasks: readonly Task[];
}

export interface NoSurvey {
  readonly kind: 'NoSurvey';
  readonly reason: string;
  readonly message: string;
}

export class Surveyor {
  readonly #engine: Engine;
  #info: EngineInfo | undefined;
  #apiVersion: string | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** The engine as it was last asked. */
  async info(signal: AbortSignal): Promise<EngineInfo> {
    this.#info ??= await this.#engine.info(signal);
    return this.#info;
  }

  /** Version of the engine's API. */
  async apiVersion(signal: AbortSignal): Promise<string> {
    this.#apiVersion ??= (
      await this.#engine.call<{ ApiVersion: string }>('read the version', signal, (docker, call) =>
        docker.version(call),
      )
    ).ApiVersion;
    return this.#apiVersion;
  }

  /** Asks the engine anew next time. */
  forget(): void {
    this.#info = undefined;
    this.#apiVersion = undefined;
  }

  async nodes(signal: AbortSignal): Promise<readonly SwarmNode[]> {
    return this.#engine.nodes(signal);
  }

  async look(signal: AbortSignal): Promise<Survey | NoSurvey> {
    try {
      const [nodes, services, tasks] = await Promise.all([
        this.#engine.nodes(signal),
        this.#engine.services({ label: [instanceLabel] }, signal),
        this.#engine.tasks({}, signal),
      ]);
      const info = await this.info(signal);
      const own = new Set(services.map(({ ID }) => ID));
      const ours = tasks.filter((task) => own.has(task.ServiceID));
      return { kind: 'Survey', info, nodes, services, tasks: ours };
    } catch (error) {
      signal.throwIfAborted();
      this.forget();
      if (!(error instanceof DriverError)) throw error;
      return { kind: 'NoSurvey', reason: problemOf(error), message: describeError(error) };
    }
  }
}

function problemOf({ reason }: DriverError): string {
  const known = [cloudletReasons.QuorumLost, cloudletReasons.NotASwarmManager] as readonly string[];
  return known.includes(reason) ? reason : cloudletReasons.EngineUnreachable;
}
