/**
 * What the test bed may use of this machine: its folders, its ports, whether it may act as root.
 * Nothing is written outside these folders; `CLOUDLET_CACHE_DIR` and `CLOUDLET_STATE_DIR` move them.
 */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** What can be made again: binaries, packages, images. */
export function cacheDir(...parts: readonly string[]): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(process.env['CLOUDLET_CACHE_DIR'] ?? join(base, 'cloudlet-operator'), ...parts);
}

/** What belongs to a bed that runs. */
export function stateDir(...parts: readonly string[]): string {
  const base = process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state');
  return join(process.env['CLOUDLET_STATE_DIR'] ?? join(base, 'cloudlet-operator'), ...parts);
}

export const isRoot = (): boolean => process.getuid?.() === 0;

/**
 * Ports of servers of the beds. Below those that Linux gives to connections (from 32768 on): such a port could be
 * taken by a connection of anybody between the look and the server's start.
 */
const serverPorts = { first: 20_000, count: 10_000 } as const;

/** `count` TCP ports of an address of this host that nobody listens on now. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers: Server[] = [];
  try {
    while (servers.length < count) servers.push(await listenSomewhere(host));
    return servers.map((server) => (server.address() as AddressInfo).port);
  } finally {
    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  }
}

async function listenSomewhere(host: string): Promise<Server> {
  for (;;) {
    const server = createServer();
    server.listen(serverPorts.first + randomInt(serverPorts.count), host);
    try {
      await once(server, 'listening');
      return server;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    }
  }
}
