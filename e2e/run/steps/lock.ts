/**
 * One run of a kind at a time on this machine.
 *
 * Guarantees: held until `release` or the end of the process, however that ends (an abstract unix socket,
 * which the kernel takes back), so there is never a stale lock to clear.
 */
import { createServer } from 'node:net';
import { TerminalError } from '@cloudlet/runtime/base';
import { machineLoad } from './bed.ts';
import type { CommandContext } from './main.ts';

/**
 * Begins a run that takes the machine for itself, until the command ends.
 * @throws TerminalError (`AlreadyRunning`)
 */
export async function takeTurn({ progress, cleanup }: CommandContext, name: string): Promise<void> {
  cleanup.defer(await takeLock(name));
  progress(`load of the machine before: ${machineLoad()}`);
}

/** @throws TerminalError (`AlreadyRunning`) while another process holds the name. */
export function takeLock(name: string): Promise<() => void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    // The cause would show the socket's name, which says no more.
    server.once('error', () =>
      reject(new TerminalError('AlreadyRunning', `another 'npm run ${name}' runs on this machine`)),
    );
    server.listen(`\0cloudlet-operator-${name}`, () => {
      server.unref();
      resolve(() => server.close());
    });
  });
}
