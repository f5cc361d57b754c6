/**
 * A shell on the machine that the agent runs on.
 *
 * With a terminal it runs under util-linux' or busybox' `script`, which gives it one; the size is set on that
 * terminal by `stty`. Arguments are arrays: the only string that a shell reads is a constant. A program that
 * was asked for by name runs without a terminal.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { DriverError } from '@cloudlet/runtime/base';
import type { DriverSession, SessionExit, SessionTarget } from '../../driver.ts';

const shell = '/bin/sh';

export async function openShell(
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const [program, ...rest] = argvOf(target);
  const child = spawn(program, rest, { stdio: 'pipe', detached: true, env: environment() });
  await started(child, program);
  const { promise: exit, resolve } = Promise.withResolvers<SessionExit>();
  child.once('close', (code, killed) =>
    resolve(code === null ? { reason: `killed by ${killed ?? 'a signal'}` } : { code }),
  );
  child.stdin.on('error', () => undefined); // it ended before it read all: its exit tells
  const close = (): void => {
    if (child.exitCode !== null || child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGHUP');
    } catch {
      child.kill('SIGKILL'); // its group is gone already
    }
  };
  signal.addEventListener('abort', close, { once: true });
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    ...(target.tty ? {} : { stderr: child.stderr }),
    resize: (columns, rows) => resize(child, columns, rows),
    exit,
    close,
  };
}

function argvOf({ argv, tty }: SessionTarget): [string, ...string[]] {
  const [program, ...rest] = argv ?? [];
  if (program !== undefined) return [program, ...rest];
  return tty ? ['script', '-q', '-f', '-c', `${shell} -i`, '/dev/null'] : [shell];
}

/** What a shell needs, and nothing of the agent's own. */
function environment(): NodeJS.ProcessEnv {
  const { PATH, HOME, LANG } = process.env;
  return { PATH, HOME, LANG, TERM: 'xterm-256color', SHELL: shell };
}

async function started(child: ChildProcessWithoutNullStreams, program: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(new DriverError('TargetNotFound', `${program} cannot be run here`, { cause })),
    );
  });
}

/** Sets the size on the terminal of the shell, which is a child of `script`. */
async function resize(
  child: ChildProcessWithoutNullStreams,
  columns: number,
  rows: number,
): Promise<void> {
  const terminal = child.pid === undefined ? undefined : await terminalUnder(child.pid);
  if (!terminal) return;
  const stty = spawn('stty', ['-F', terminal, 'rows', String(rows), 'cols', String(columns)], {
    stdio: 'ignore',
  });
  await new Promise<void>((resolve) =>
    stty.once('close', () => resolve()).once('error', () => resolve()),
  );
}

async function terminalUnder(parent: number): Promise<string | undefined> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
    // After the command, which may hold anything, come the state and the parent's id.
    const [, parentId] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(parentId) !== parent) continue;
    const terminal = await readlink(`/proc/${name}/fd/0`).catch(() => '');
    if (terminal.startsWith('/dev/pts/')) return terminal;
  }
  return undefined;
}
