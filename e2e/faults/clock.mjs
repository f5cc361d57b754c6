/**
 * Loaded into a process of the region (`NODE_OPTIONS=--import ...`): its clock is off by as many milliseconds
 * as were written to its socket last.
 *
 * Plain JavaScript, so that loading it costs the process no compiler. Does nothing without its folder. It is
 * the clock that programs in JavaScript ask (`Date`); OpenSSL, timers and the kernel keep theirs.
 */
import { rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { isMainThread } from 'node:worker_threads';

const folder = process.env.CLOUDLET_CLOCKS;
if (folder !== undefined && isMainThread) {
  const RightDate = Date;
  let offsetMs = 0;
  const now = () => RightDate.now() + offsetMs;
  // The prototype stays, so that dates that Node makes are dates for `instanceof` too.
  globalThis.Date = new Proxy(RightDate, {
    construct: (target, args) => new target(...(args.length === 0 ? [now()] : args)),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => (text += chunk));
    socket.on('end', () => {
      offsetMs = Number(text);
      socket.end('set');
    });
  });
  server.on('error', () => undefined); // whoever wants to set it is told by its own connection
  const path = `${folder}/${process.pid}.sock`;
  // Of one that was killed and had the same id: a long run uses up all ids.
  rmSync(path, { force: true });
  server.listen(path);
  server.unref();
}
