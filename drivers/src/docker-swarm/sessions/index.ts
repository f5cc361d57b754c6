/**
 * Sessions on a swarm. A program can be run in containers of this engine only; those of other nodes are
 * reached through the nodes' helpers, where the site has them.
 */
import type { DriverSession, SessionTarget } from '../../driver.ts';
import { execInContainer } from './exec.ts';
import { logsOf } from './logs.ts';
import { engineOf, type SwarmPlace } from './place.ts';
import { forwardPort } from './port-forward.ts';
import { openShell } from './shell.ts';
import { candidates, matching, notFound } from './target.ts';

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
      return forwardPort(options, target, signal);
    case 'shell':
      return openShell(target, signal);
  }
}

async function openExec(
  place: SwarmPlace,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const found = matching(await candidates(place.engine, target, signal), target.target);
  const own = await place.ownNodeId(signal);
  const chosen = found.find(({ task }) => task.NodeID === own) ?? found[0];
  if (!chosen) throw notFound(target, 'no task of it runs');
  const containerId = chosen.task.Status.ContainerStatus?.ContainerID;
  if (!containerId) throw notFound(target, 'its container is not there yet');
  const engine = await engineOf(place, chosen, 'exec', signal);
  return execInContainer(engine, containerId, target, signal);
}
