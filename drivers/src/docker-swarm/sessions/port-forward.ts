/** A connection to a port of a task, by the port that the engine of its node picked for it. */
import { connect } from 'node:net';
import { DriverError } from '@cloudlet/runtime/base';
import type { DriverSession, SessionExit, SessionTarget } from '../../driver.ts';
import type { Engine } from '../engine.ts';
import { candidates, matching, notFound } from './target.ts';

export async function forwardPort(
  engine: Engine,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const found = matching(await candidates(engine, target, signal), target.target);
  if (found.length === 0) throw notFound(target, 'no task of it runs');
  const published = found.flatMap(({ task, node }) =>
    (task.Status.PortStatus?.Ports ?? [])
      .filter((port) => port.TargetPort === target.port && port.Protocol !== 'udp')
      .map((port) => ({ host: addressOf(node), port: port.PublishedPort ?? 0 })),
  );
  const [place] = published;
  if (!place) throw notFound(target, `its port ${target.port ?? '(none named)'} is not published`);
  const socket = connect({ ...place, signal });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) => {
      const message = `${place.host}:${place.port} does not answer`;
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

/** The address by which the other nodes know it; a leader tells 0.0.0.0 of itself. */
export function addressOf(node: {
  readonly Status: { readonly Addr?: string };
  readonly ManagerStatus?: { readonly Addr: string };
}): string {
  const address = node.Status.Addr;
  if (address && address !== '0.0.0.0') return address;
  return node.ManagerStatus?.Addr.replace(/:\d+$/, '') ?? '127.0.0.1';
}
