/**
 * A container of this node's own engine, beside the swarm: how a load balancer runs on a manager.
 *
 * Guarantees: found by its name and taken as it is when its image and settings are the wanted ones, so that
 * a restarted agent touches no connection; its image is pulled when the engine lacks it; removing what is
 * absent succeeds.
 */
import type { Readable } from 'node:stream';
import { apiGroup } from '@cloudlet/crds';
import { contentHash, DriverError } from '@cloudlet/runtime/base';
import { type Engine, isNotFound, removed } from './engine.ts';

export interface LocalContainer {
  readonly name: string;
  /** What it is called in messages. */
  readonly what: string;
  /** As the engine takes them, image included. */
  readonly settings: Readonly<Record<string, unknown>> & { readonly Image: string };
}

/** The host's network, one folder of the host, these capabilities, and nothing else; always restarted. */
export const confined = (bind: string, capabilities: readonly string[]) => ({
  NetworkMode: 'host',
  RestartPolicy: { Name: 'always' },
  Binds: [bind],
  ReadonlyRootfs: true,
  CapDrop: ['ALL'],
  CapAdd: capabilities,
  LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
});

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
  wanted: LocalContainer,
  signal: AbortSignal,
): Promise<boolean> {
  const hash = contentHash(wanted.settings, 16);
  const present = await inspect(engine, wanted, signal);
  const isSame = present?.Config.Labels?.[settingsLabel] === hash;
  if (isSame && present.State.Running) return false;
  if (present && !isSame) await removeContainer(engine, wanted, signal);
  if (!isSame) await create(engine, wanted, { [settingsLabel]: hash }, signal);
  await engine.call(`start ${wanted.what}`, signal, (docker, call) =>
    docker.getContainer(wanted.name).start(call),
  );
  return true;
}

export async function removeContainer(
  engine: Engine,
  { name, what }: Pick<LocalContainer, 'name' | 'what'>,
  signal: AbortSignal,
): Promise<void> {
  await removed(
    engine.call(`remove ${what}`, signal, (docker, call) =>
      docker.getContainer(name).remove({ ...call, force: true }),
    ),
  );
}

/** Sends a signal to the container's first process. */
export async function signalContainer(
  engine: Engine,
  { name, what }: LocalContainer,
  which: NodeJS.Signals,
  signal: AbortSignal,
): Promise<void> {
  await engine.call(`signal ${what}`, signal, (docker, call) =>
    docker.getContainer(name).kill({ ...call, signal: which }),
  );
}

/** Runs a program in the container; its exit code and what it said. */
export async function runInContainer(
  engine: Engine,
  { name, what }: LocalContainer,
  argv: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly output: string }> {
  const doing = `run ${argv[0]} in ${what}`;
  const exec = await engine.call<{ id: string; start: unknown }>(doing, signal, (docker, call) =>
    docker
      .getContainer(name)
      .exec({ ...call, Cmd: argv, AttachStdout: true, AttachStderr: true, Tty: true }),
  );
  const stream = await engine.stream<Readable>(doing, signal, (_docker, call) =>
    engine.exec(exec.id).start({ ...call, hijack: true, stdin: false, Tty: true }),
  );
  let output = '';
  for await (const chunk of stream) output = (output + String(chunk)).slice(-4096);
  const { ExitCode } = await engine.call<{ ExitCode: number | null }>(
    doing,
    signal,
    (_docker, call) => engine.exec(exec.id).inspect(call),
  );
  return { code: ExitCode ?? -1, output: output.trim() };
}

async function inspect(
  engine: Engine,
  { name, what }: LocalContainer,
  signal: AbortSignal,
): Promise<ContainerInfo | undefined> {
  try {
    return await engine.call<ContainerInfo>(`read ${what}`, signal, (docker, call) =>
      docker.getContainer(name).inspect(call),
    );
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function create(
  engine: Engine,
  { name, what, settings }: LocalContainer,
  Labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const make = (): Promise<unknown> =>
    engine.call(`make ${what}`, signal, (docker, call) =>
      docker.createContainer({ ...call, name, ...settings, Labels }),
    );
  try {
    await make();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await pull(engine, settings.Image, signal);
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
