/**
 * Sessions on a swarm. A program can be run in containers of this engine only; those of other nodes are
 * reached through the nodes' helpers, where the site has them.
 */
import { DriverError } from '@cloudlet/runtime/base';
import type { DriverSession, SessionTarget } from '../../driver.ts';
import type { Engine } from '../engine.ts';
import { nameOf, type NodeHelpers } from '../helper/client.ts';
import { execInContainer } from './exec.ts';
import { logsOf } from './logs.ts';
import { forwardPort } from './port-forward.ts';
import { openShell } from './shell.ts';
import { candidates, matching, notFound } from './target.ts';

/** A helper that is replaced is back within this time; a user waits 15 s at most. */
const helperPatienceMs = 8_000;

/** One of the swarm's managers, and the way to the other nodes. */
export interface SwarmPlace {
  readonly engine: Engine;
  readonly ownNodeId: (signal: AbortSignal) => Promise<string>;
  readonly helpers: NodeHelpers | undefined;
}

export async function openSwarmSession(
  options: SwarmPlace,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  switch (target.kind) {
    case 'exec':
      return openExec(options, target, signal);
    case 'logs':
      return logsOf(options.engine, target, signal);
    case 'portforward':
      return forwardPort(options.engine, target, signal);
    case 'shell':
      return openShell(target, signal);
  }
}

async function openExec(
  { engine, ownNodeId, helpers }: SwarmPlace,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const found = matching(await candidates(engine, target, signal), target.target);
  const own = await ownNodeId(signal);
  const place = found.find(({ task }) => task.NodeID === own) ?? found[0];
  if (!place) throw notFound(target, 'no task of it runs');
  const containerId = place.task.Status.ContainerStatus?.ContainerID;
  if (!containerId) throw notFound(target, 'its container is not there yet');
  if (place.task.NodeID === own) return execInContainer(engine, containerId, target, signal);
  if (helpers) {
    const remote = await helpers.reach(place.node, signal, helperPatienceMs);
    return execInContainer(remote, containerId, target, signal);
  }
  throw new DriverError(
    'NoHelper',
    `${place.name} runs on node ${nameOf(place.node)}, which has no helper, so exec does not reach it: start the site's agents with --helper-image`,
  );
}
