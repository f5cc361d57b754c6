/**
 * What the test bed may use of this machine: its folders, its ports, whether it may act as root.
 * Nothing is written outside these folders; `CLOUDLET_CACHE_DIR` and `CLOUDLET_STATE_DIR` move them.
 */
import { createServer } from 'node:net';
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

/** `count` TCP ports of an address of this host that nobody listens on now. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject);
          server.listen(0, host, () => {
            const address = server.address();
            resolve(typeof address === 'object' && address !== null ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
