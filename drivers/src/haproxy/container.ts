/**
 * The container that HAProxy runs in: one on the manager that the agent is on, with the host's network.
 *
 * Guarantees: found by its name and taken as it is when its image and settings are the wanted ones, so that
 * a restarted agent touches no connection; restarted by the engine whenever it ends; may do nothing but bind
 * ports; its folder of sockets is the agent's alone.
 */
import type { Readable } from 'node:stream';
import { apiGroup } from '@cloudlet/crds';
import { contentHash, DriverError } from '@cloudlet/runtime/base';
import { type Engine, isNotFound, removed } from '../docker-swarm/engine.ts';
import { insideDir } from './config.ts';

export const containerName = 'cloudlet-load-balancer';
const settingsLabel = `${apiGroup}/settings`;
const pullDeadlineMs = 5 * 60_000;

interface ContainerInfo {
  readonly Id: string;
  readonly State: { readonly Running: boolean };
  readonly Config: { readonly Labels?: Readonly<Record<string, string>> | null };
}

/** Makes and starts the container unless it runs as wanted. @returns whether it was started now. */
export async function ensureContainer(
  engine: Engine,
  image: string,
  dir: string,
  signal: AbortSignal,
): Promise<boolean> {
  const settings = settingsOf(image, dir);
  const hash = contentHash(settings, 16);
  const present = await inspect(engine, signal);
  if (present?.Config.Labels?.[settingsLabel] === hash && present.State.Running) return false;
  if (present && present.Config.Labels?.[settingsLabel] !== hash)
    await removeContainer(engine, signal);
  if (present?.Config.Labels?.[settingsLabel] !== hash)
    await create(engine, image, { ...settings, Labels: { [settingsLabel]: hash } }, signal);
  await engine.call('start the load balancer', signal, (docker, call) =>
    docker.getContainer(containerName).start(call),
  );
  return true;
}

export async function removeContainer(engine: Engine, signal: AbortSignal): Promise<void> {
  await removed(
    engine.call('remove the load balancer', signal, (docker, call) =>
      docker.getContainer(containerName).remove({ ...call, force: true }),
    ),
  );
}

/** Runs a program in the container; its exit code and what it said. */
export async function runInContainer(
  engine: Engine,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly output: string }> {
  const what = 'check the configuration of the load balancer';
  const exec = await engine.call<{ id: string; start: unknown }>(what, signal, (docker, call) =>
    docker
      .getContainer(containerName)
      .exec({ ...call, Cmd: argv, AttachStdout: true, AttachStderr: true, Tty: true }),
  );
  const stream = await engine.stream<Readable>(what, signal, (_docker, call) =>
    engine.exec(exec.id).start({ ...call, hijack: true, stdin: false, Tty: true }),
  );
  let output = '';
  for await (const chunk of stream) output = (output + String(chunk)).slice(-4096);
  const { ExitCode } = await engine.call<{ ExitCode: number | null }>(
    what,
    signal,
    (_docker, call) => engine.exec(exec.id).inspect(call),
  );
  return { code: ExitCode ?? -1, output: output.trim() };
}

function settingsOf(image: string, dir: string): Readonly<Record<string, unknown>> {
  return {
    Image: image,
    Cmd: [
      'haproxy',
      '-W',
      '-db',
      '-S',
      `${insideDir}/master.sock`,
      '-f',
      `${insideDir}/haproxy.cfg`,
    ],
    StopSignal: 'SIGUSR1',
    User: '0',
    HostConfig: {
      NetworkMode: 'host',
      RestartPolicy: { Name: 'always' },
      Binds: [`${dir}:${insideDir}`],
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      CapAdd: ['NET_BIND_SERVICE'],
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
    },
  };
}

async function inspect(engine: Engine, signal: AbortSignal): Promise<ContainerInfo | undefined> {
  try {
    return await engine.call<ContainerInfo>('read the load balancer', signal, (docker, call) =>
      docker.getContainer(containerName).inspect(call),
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function create(
  engine: Engine,
  image: string,
  settings: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<void> {
  const make = (): Promise<unknown> =>
    engine.call('make the load balancer', signal, (docker, call) =>
      docker.createContainer({ ...call, name: containerName, ...settings }),
    );
  try {
    await make();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await pull(engine, image, signal);
    await make();
  }
}

async function pull(engine: Engine, image: string, signal: AbortSignal): Promise<void> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(pullDeadlineMs)]);
  const progress = await engine.stream<Readable>(`pull ${image}`, within, (docker, call) =>
    docker.createImage(undefined, { ...call, fromImage: image }),
  );
  let said = '';
  for await (const chunk of progress) said = (said + String(chunk)).slice(-8192);
  const problem = /"error":"([^"]*)"/.exec(said)?.[1];
  if (problem) throw new DriverError('LoadBalancerFailed', `pull ${image}: ${problem}`);
}
