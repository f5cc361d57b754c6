/**
 * One agent a state folder: two would write over each other.
 *
 * Guarantees: the lock is an abstract socket named by the folder, so it ends with the process however that
 * ends and leaves no file. It holds within one network namespace; two containers that share a folder over
 * namespaces are not told apart.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { realpath } from 'node:fs/promises';
import { TerminalError } from '@cloudlet/runtime/base';

/** @throws TerminalError when another process holds the folder. */
export async function lockFolder(folder: string): Promise<AsyncDisposable> {
  const name = createHash('sha256')
    .update(await realpath(folder))
    .digest('hex')
    .slice(0, 32);
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new TerminalError('FolderInUse', `another agent uses ${folder}: stop that one first`, {
          cause,
        }),
      ),
    );
    server.listen(`\0cloudlet-agent-${name}`, resolve);
  });
  server.unref();
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
