/** A program in a container of one engine: `docker exec`. */
import type { Duplex } from 'node:stream';
import type { DriverSession, SessionExit, SessionTarget } from '../../driver.ts';
import type { Engine } from '../engine.ts';
import { demux } from './demux.ts';

export async function execInContainer(
  engine: Engine,
  containerId: string,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const tty = target.tty ?? false;
  const exec = await engine.call<{ id: string }>(
    `exec in ${short(containerId)}`,
    signal,
    (docker, call) =>
      docker.getContainer(containerId).exec({
        ...call,
        Cmd: target.argv ?? ['/bin/sh'],
        AttachStdin: target.stdin ?? false,
        AttachStdout: true,
        AttachStderr: true,
        Tty: tty,
      }),
  );
  const handle = engine.exec(exec.id);
  const ended = new AbortController();
  const lifetime = AbortSignal.any([signal, ended.signal]);
  const stream = await engine.stream<Duplex>(
    `start exec in ${short(containerId)}`,
    lifetime,
    (_, call) => handle.start({ ...call, hijack: true, stdin: true, Tty: tty }),
  );
  const { promise: exit, resolve } = Promise.withResolvers<SessionExit>();
  const close = (): void => {
    resolve({ reason: 'closed' });
    stream.destroy();
    ended.abort(new Error('the session was closed'));
  };
  signal.addEventListener('abort', close, { once: true });
  const { stdout, stderr } = tty ? { stdout: stream, stderr: undefined } : demux(stream);
  stream.once('error', () => resolve({ reason: 'the engine broke the stream' }));
  stdout.once('end', () => void codeOf(engine, handle).then(resolve));
  if (!target.stdin) stream.end();
  return {
    ...(target.stdin ? { stdin: stream } : {}),
    stdout,
    ...(stderr ? { stderr } : {}),
    resize: async (columns, rows) => {
      await engine.call('resize a terminal', signal, (_, call) =>
        handle.resize({ ...call, w: columns, h: rows }),
      );
    },
    exit,
    close,
  };
}

async function codeOf(engine: Engine, handle: ReturnType<Engine['exec']>): Promise<SessionExit> {
  try {
    const state = await engine.call<{ ExitCode: number | null }>(
      'read an exec',
      undefined,
      (_, call) => handle.inspect(call),
    );
    return state.ExitCode === null ? { reason: 'it still runs' } : { code: state.ExitCode };
  } catch {
    return { reason: 'the container is gone' };
  }
}

const short = (id: string): string => id.slice(0, 12);
