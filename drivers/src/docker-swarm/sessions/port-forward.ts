/**
 * A connection to a port of a task, by the port that the engine of its node picked for it. A swarm that
 * elected another leader does not tell that port until the task changes: then the task's own engine does.
 */
import { connect } from 'node:net';
import { DriverError } from '@cloudlet/runtime/base';
import type { DriverSession, SessionExit, SessionTarget } from '../../driver.ts';
import { addressOf } from '../node-address.ts';
import { candidates, type FoundTask, matching, notFound } from './target.ts';
import { engineOf, type SwarmPlace } from './place.ts';

interface Address {
  readonly host: string;
  readonly port: number;
}

export async function forwardPort(
  place: SwarmPlace,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const found = matching(await candidates(place.engine, target, signal), target.target);
  if (found.length === 0) throw notFound(target, 'no task of it runs');
  const address = await publishedBy(place, found, target, signal);
  if (!address)
    throw notFound(target, `its port ${target.port ?? '(none named)'} is not published`);
  const socket = connect({ ...address, signal });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) => {
      const message = `${address.host}:${address.port} does not answer`;
      reject(new DriverError('TargetNotFound', message, { cause }));
    });
  });
  const { promise: exit, resolve } = Promise.withResolvers<SessionExit>();
  socket.on('error', () => resolve({ reason: 'the connection broke' }));
  socket.once('close', () => resolve({ code: 0 }));
  return {
    stdin: socket,
    stdout: socket,
    resize: async () => undefined,
    exit,
    close: () => socket.destroy(),
  };
}

async function publishedBy(
  place: SwarmPlace,
  found: readonly FoundTask[],
  target: SessionTarget,
  signal: AbortSignal,
): Promise<Address | undefined> {
  for (const { task, node } of found)
    for (const port of task.Status.PortStatus?.Ports ?? [])
      if (port.TargetPort === target.port && port.Protocol !== 'udp' && port.PublishedPort)
        return { host: addressOf(node), port: port.PublishedPort };
  let failure: Error | undefined;
  for (const each of found) {
    const id = each.task.Status.ContainerStatus?.ContainerID;
    if (!id) continue;
    try {
      const engine = await engineOf(place, each, 'port forwarding', signal);
      const [container] = await engine.containers({ id: [id] }, signal);
      const port = container?.Ports.find(
        ({ PrivatePort, Type }) => PrivatePort === target.port && Type === 'tcp',
      )?.PublicPort;
      if (port) return { host: addressOf(each.node), port };
    } catch (error) {
      signal.throwIfAborted();
      failure = error instanceof Error ? error : new DriverError('TargetNotFound', String(error));
    }
  }
  if (failure) throw failure;
  return undefined;
}
