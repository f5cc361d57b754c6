/**
 * One address in front of several replicas, as a Service is: TCP alone, in this process.
 *
 * Guarantees: a new connection goes to the replicas that are ready, one after the other, and on to the next
 * when one refuses it; a connection that is there stays where it is until one of its ends closes it.
 */
import { connect, createServer, type Socket } from 'node:net';
import { systemClock } from '@cloudlet/runtime/base';
import { expect } from '../process.ts';

export interface Target {
  readonly port: number;
  /** Throws while it is not ready. */
  readonly ready: (signal: AbortSignal) => Promise<unknown>;
}

export interface Balancer {
  readonly port: number;
  close(): Promise<void>;
}

const lookMs = 250;

/** Listens on the port of this address for targets of the same address. */
export async function startBalancer(
  host: string,
  port: number,
  targets: readonly Target[],
): Promise<Balancer> {
  const ready = new Set<Target>();
  const sockets = new Set<Socket>();
  const ended = new AbortController();
  let next = 0;
  const track = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => socket.destroy());
    return socket.once('close', () => sockets.delete(socket));
  };
  const pass = (near: Socket, [target, ...others]: readonly Target[]): void => {
    if (!target) {
      near.resetAndDestroy();
      return;
    }
    const far = track(connect(target.port, host));
    const onRefused = (): void => pass(near, others);
    far.once('error', onRefused);
    far.once('connect', () => {
      far.off('error', onRefused);
      near.pipe(far).pipe(near);
      near.once('close', () => far.destroy());
      far.once('close', () => near.destroy());
    });
  };
  const server = createServer({ pauseOnConnect: true }, (near) => {
    const open = targets.filter((target) => ready.has(target));
    const first = next++ % Math.max(1, open.length);
    pass(track(near), [...open.slice(first), ...open.slice(0, first)]);
  });
  const looking = Promise.all(targets.map((target) => look(target, ready, ended.signal)));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  expect(typeof address === 'object' && address !== null, 'the balancer has no port');
  return {
    port: address.port,
    async close() {
      ended.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await Promise.all([closed, looking]);
    },
  };
}

/** Asks a target again and again how it is. */
async function look(target: Target, ready: Set<Target>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await target.ready(AbortSignal.any([signal, AbortSignal.timeout(2_000)]));
      ready.add(target);
    } catch {
      ready.delete(target);
    }
    await systemClock.sleep(lookMs, signal).catch(() => undefined);
  }
}
