/** Where sessions are opened from, and the engine that runs a task: this manager's own or, by its helper, another's. */
import { DriverError } from '@cloudlet/runtime/base';
import type { Engine } from '../engine.ts';
import { nameOf, type NodeHelpers } from '../helper/client.ts';
import type { FoundTask } from './target.ts';

/** A helper that is replaced is back within this time; a user waits 15 s at most. */
const helperPatienceMs = 8_000;

/** One of the swarm's managers, and the way to the other nodes. */
export interface SwarmPlace {
  readonly engine: Engine;
  readonly ownNodeId: (signal: AbortSignal) => Promise<string>;
  readonly helpers: NodeHelpers | undefined;
}

/**
 * @param what is wanted of it, for the error.
 * @throws DriverError (`NoHelper`) when the task runs on another node that cannot be reached.
 */
export async function engineOf(
  { engine, ownNodeId, helpers }: SwarmPlace,
  { name, task, node }: FoundTask,
  what: string,
  signal: AbortSignal,
): Promise<Engine> {
  if (task.NodeID === (await ownNodeId(signal))) return engine;
  if (helpers) return helpers.reach(node, signal, helperPatienceMs);
  throw new DriverError(
    'NoHelper',
    `${name} runs on node ${nameOf(node)}, which has no helper, so ${what} does not reach it: start the site's agents with --helper-image`,
  );
}
