/**
 * Logs of services or of one task, gathered by the swarm from all its nodes.
 *
 * Guarantees: nothing is buffered beyond the streams' marks; lines of several services are not cut into each
 * other, since each chunk of the engine holds whole lines.
 */
import { PassThrough, Readable } from 'node:stream';
import type { DriverSession, SessionExit, SessionTarget } from '../../driver.ts';
import type { Engine } from '../engine.ts';
import type { Service } from '../engine-types.ts';
import { demux, type Demuxed } from './demux.ts';
import { candidates, matching, notFound, servicesMatching } from './target.ts';

export async function logsOf(
  engine: Engine,
  target: SessionTarget,
  signal: AbortSignal,
): Promise<DriverSession> {
  const found = await candidates(engine, target, signal);
  const services = servicesMatching(found, target.target);
  const task = services.length === 0 ? matching(found, target.target)[0] : undefined;
  if (services.length === 0 && !task) throw notFound(target, 'no such task or service');
  const ended = new AbortController();
  const lifetime = AbortSignal.any([signal, ended.signal]);
  const query = queryOf(target, engine.clock.now());
  const open = (what: string, get: 'task' | 'service', id: string): Promise<Readable | Buffer> =>
    engine.stream<Readable>(`read logs of ${what}`, lifetime, (docker, call) =>
      get === 'task'
        ? docker.getTask(id).logs({ ...call, ...query })
        : docker.getService(id).logs({ ...call, ...query }),
    );
  const sources = task
    ? [{ isTty: isTty(task.service), stream: await open(task.name, 'task', task.task.ID) }]
    : await Promise.all(
        services.map(async (service) => ({
          isTty: isTty(service),
          stream: await open(service.Spec.Name, 'service', service.ID),
        })),
      );
  return gather(sources, signal, () => ended.abort(new Error('the session was closed')));
}

function isTty({ Spec }: Service): boolean {
  return Spec.TaskTemplate.ContainerSpec.TTY ?? false;
}

function queryOf(target: SessionTarget, now: number) {
  return {
    follow: target.follow ?? false,
    stdout: true,
    stderr: true,
    timestamps: target.timestamps ?? false,
    tail: target.tailLines ?? ('all' as const),
    ...(target.sinceSeconds === undefined
      ? {}
      : { since: Math.floor(now / 1000) - target.sinceSeconds }),
  };
}

interface Source {
  readonly isTty: boolean;
  readonly stream: Readable | Buffer;
}

function gather(sources: readonly Source[], signal: AbortSignal, stop: () => void): DriverSession {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const { promise: exit, resolve } = Promise.withResolvers<SessionExit>();
  const finish = (how: SessionExit): void => {
    stdout.end();
    stderr.end();
    resolve(how);
  };
  const close = (): void => {
    stop();
    finish({ reason: 'closed' });
  };
  signal.addEventListener('abort', close, { once: true });
  const parts = sources.map(partsOf);
  const streams = parts.flatMap((part) => [
    { from: part.stdout, to: stdout },
    { from: part.stderr, to: stderr },
  ]);
  let open = streams.length;
  for (const { from, to } of streams) {
    from.pipe(to, { end: false });
    from.once('error', () => finish({ reason: 'the engine broke the stream' }));
    from.once('end', () => {
      open--;
      if (open === 0) finish({ code: 0 });
    });
  }
  return { stdout, stderr, resize: async () => undefined, exit, close };
}

/** Without `follow` dockerode reads the whole answer first. */
function partsOf({ isTty: isPlain, stream }: Source): Demuxed {
  const source = Buffer.isBuffer(stream) ? Readable.from([stream], { objectMode: false }) : stream;
  if (!isPlain) return demux(source);
  const stderr = new PassThrough();
  stderr.end();
  return { stdout: source.pipe(new PassThrough()), stderr };
}
