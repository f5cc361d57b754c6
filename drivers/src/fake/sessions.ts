/**
 * Sessions of the fake: `echo` prints its arguments, `false` exits 1, `stderr` prints to the error stream,
 * any other program answers what it reads; logs are numbered lines, one more each second when followed.
 */
import { PassThrough } from 'node:stream';
import type { Clock } from '@cloudlet/runtime/base';
import type { DriverSession, SessionExit, SessionTarget } from '../driver.ts';

export function fakeSession(
  target: SessionTarget,
  clock: Clock,
  signal: AbortSignal,
): DriverSession {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = target.tty ? undefined : new PassThrough();
  const { promise: exit, resolve } = Promise.withResolvers<SessionExit>();
  const end = (how: SessionExit): void => {
    if (!stdout.writableEnded) stdout.end();
    if (stderr && !stderr.writableEnded) stderr.end();
    stdin.destroy();
    resolve(how);
  };
  signal.addEventListener('abort', () => end({ reason: 'closed' }), { once: true });
  serve(target, { stdin, stdout, stderr, end, clock });
  return {
    stdin,
    stdout,
    ...(stderr ? { stderr } : {}),
    resize: async (columns, rows) => {
      if (target.tty && !stdout.writableEnded) stdout.write(`[${columns}x${rows}]`);
    },
    exit,
    close: () => end({ reason: 'closed' }),
  };
}

interface Ends {
  readonly stdin: PassThrough;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough | undefined;
  readonly end: (how: SessionExit) => void;
  readonly clock: Clock;
}

function serve(target: SessionTarget, ends: Ends): void {
  if (target.kind === 'logs') {
    serveLogs(target, ends);
    return;
  }
  const [program = 'sh', ...rest] = target.argv ?? [];
  if (program === 'echo') ends.stdout.write(rest.join(' ') + '\n');
  if (program === 'stderr') (ends.stderr ?? ends.stdout).write(rest.join(' ') + '\n');
  if (program === 'echo' || program === 'stderr' || program === 'false') {
    ends.end({ code: program === 'false' ? 1 : 0 });
    return;
  }
  ends.stdin.pipe(ends.stdout, { end: false });
  ends.stdin.once('end', () => ends.end({ code: 0 }));
}

/** Ten lines are there; a follower gets one more each second for as long as it reads. */
function serveLogs(target: SessionTarget, ends: Ends): void {
  const first = Math.max(1, 11 - (target.tailLines ?? 10));
  for (let line = first; line <= 10; line++) ends.stdout.write(`line ${line}\n`);
  if (!target.follow) {
    ends.end({ code: 0 });
    return;
  }
  let line = 10;
  const next = (): void => {
    if (ends.stdout.writableEnded) return;
    line++;
    const wantsMore = ends.stdout.write(`line ${line}\n`);
    if (wantsMore) ends.clock.after(1000, next);
    else ends.stdout.once('drain', next);
  };
  ends.clock.after(1000, next);
}
