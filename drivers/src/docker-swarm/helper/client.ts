/** The agent's end of the nodes' helpers: an engine like the own one, on another node. */
import { DriverError, type Clock } from '@cloudlet/runtime/base';
import { Engine } from '../engine.ts';
import type { SwarmNode } from '../engine-types.ts';
import { addressOf } from '../sessions/port-forward.ts';
import { helperPort, type HelperTls } from './server.ts';

export interface HelperOptions {
  readonly tls: HelperTls;
  /** @default helperPort */
  readonly port?: number;
}

export class NodeHelpers {
  readonly #options: HelperOptions;
  readonly #clock: Clock;

  constructor(options: HelperOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** The engine of a node, as far as its helper lets through. */
  engineOf(node: SwarmNode): Engine {
    const { tls, port = helperPort } = this.#options;
    return new Engine({ remote: { host: addressOf(node), port, tls }, clock: this.#clock });
  }

  /** @throws DriverError that names the node when it has no helper, or one that does not answer. */
  async reach(node: SwarmNode, signal: AbortSignal): Promise<Engine> {
    const engine = this.engineOf(node);
    try {
      await engine.call('reach the helper', signal, (docker, call) => docker.version(call), 5_000);
      return engine;
    } catch (cause) {
      signal.throwIfAborted();
      const name = node.Description.Hostname || node.ID;
      throw new DriverError('NoHelper', `node ${name} has no helper that answers`, { cause });
    }
  }
}
