/** The agent's end of the nodes' helpers: an engine like the own one, on another node. */
import { describeError, DriverError } from '@cloudlet/runtime/base';
import { newestFirst } from '../convergence.ts';
import { Engine } from '../engine.ts';
import type { SwarmNode } from '../engine-types.ts';
import { addressOf } from '../node-address.ts';
import type { HelperDeployment } from './deployment.ts';
import { listAuthorities } from './objects.ts';
import type { HelperTls } from './server.ts';
import { helperServiceName } from './service.ts';
import type { SiteAuthority } from './site-authority.ts';

export interface NodeHelpersOptions {
  /** This manager's own. */
  readonly engine: Engine;
  readonly authority: SiteAuthority;
  readonly port: number;
  readonly deployment: Pick<HelperDeployment, 'failure'>;
}

const reachMs = 5_000;
const againMs = 500;

export class NodeHelpers {
  readonly #options: NodeHelpersOptions;

  constructor(options: NodeHelpersOptions) {
    this.#options = options;
  }

  /**
   * The engine of a node, as far as its helper lets through.
   * @param patienceMs how long a helper may take that is being started or replaced.
   * @throws DriverError (`NoHelper`) that names the node and says why its helper does not answer.
   */
  async reach(node: SwarmNode, signal: AbortSignal, patienceMs = 0): Promise<Engine> {
    const { engine: own, port, deployment } = this.#options;
    const { clock } = own;
    const end = clock.monotonic() + patienceMs;
    for (;;) {
      const remote = { host: addressOf(node), port, tls: await this.#tls(signal) };
      const engine = new Engine({ remote, clock });
      try {
        await engine.call(
          'reach the helper',
          signal,
          (docker, call) => docker.version(call),
          reachMs,
        );
        return engine;
      } catch (cause) {
        signal.throwIfAborted();
        const mayCome = node.Status.State === 'ready' && deployment.failure === undefined;
        if (!mayCome || clock.monotonic() >= end) throw await this.#failure(node, cause, signal);
        await clock.sleep(againMs, signal);
      }
    }
  }

  async #failure(node: SwarmNode, cause: unknown, signal: AbortSignal): Promise<DriverError> {
    const why = await this.#why(node, cause, signal);
    const message = `the helper of node ${nameOf(node)} does not answer: ${why}`;
    return new DriverError('NoHelper', message, { cause });
  }

  /**
   * Read anew for each use: a member may have come or gone. A helper is believed by whichever authority is
   * still there: that of a member that left goes when no helper has a certificate of it any more.
   */
  async #tls(signal: AbortSignal): Promise<HelperTls> {
    const { engine, authority } = this.#options;
    const [authorities, { key, cert }] = await Promise.all([
      listAuthorities(engine, signal),
      authority.agent(),
    ]);
    return { key, cert, ca: authorities.map(({ pem }) => pem).join('\n') };
  }

  async #why(node: SwarmNode, cause: unknown, signal: AbortSignal): Promise<string> {
    const { engine, deployment } = this.#options;
    if (node.Status.State !== 'ready') return `the node is ${node.Status.State}`;
    if (deployment.failure !== undefined) return deployment.failure;
    const filters = { service: [helperServiceName], node: [node.ID] };
    const [task] = newestFirst(await engine.tasks(filters, signal).catch(() => []));
    if (!task) return `service ${helperServiceName} has no task there`;
    const { State, Err, Message } = task.Status;
    if (State !== 'running') return `its task is ${State}: ${Err ?? Message ?? 'wait a moment'}`;
    return describeError(cause);
  }
}

export const nameOf = ({ ID, Description }: SwarmNode): string => Description.Hostname || ID;
