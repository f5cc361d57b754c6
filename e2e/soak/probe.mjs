/**
 * Loaded into a process that is watched for hours (`NODE_OPTIONS=--expose-gc --import ...`): tells whoever
 * connects to its socket the heap after a full collection and what keeps its event loop busy.
 *
 * Plain JavaScript, so that loading it costs the process no compiler. Does nothing without its folder, and
 * keeps no process alive. The socket is named by the process's own id, as the process sees it.
 */
import { createServer } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const folder = process.env.CLOUDLET_PROBES;
if (folder !== undefined && isMainThread) {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    globalThis.gc?.();
    globalThis.gc?.(); // what finalizers let go in the first
    const { heapUsed } = process.memoryUsage();
    socket.end(JSON.stringify({ heapUsed, resources: process.getActiveResourcesInfo() }));
  });
  server.on('error', () => undefined); // a process that cannot be asked is one whose samples are missing
  server.listen(`${folder}/${process.pid}.sock`);
  server.unref();
}
