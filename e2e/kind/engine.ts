/**
 * The Docker engine that nodes run on: the user's own where one answers, else one that is started here.
 *
 * Guarantees: one that is started here changes no rule and no route of this machine, listens on a socket of
 * its own, keeps its images in the cache for the next time, and ends with `stop`; the user's own keeps
 * whatever it had, and its own network of kind.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandOptions, runCommand, TerminalError } from '@cloudlet/runtime/base';
import { cacheDir, type Progress, startProcess, stateDir } from '../testbed/index.ts';
import { ensurePrograms } from './programs.ts';

/** The network of an engine that is started here. */
const network = { bridge: 'cloudlet-kind', subnet: '10.84.0.0/24' };

export interface Engine {
  /** Whether it is the user's. */
  readonly isUsers: boolean;
  /** Where programs find it: DOCKER_HOST and what belongs to it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs docker against it; standard output. */
  docker(args: readonly string[], options?: CommandOptions): Promise<string>;
  hasImage(name: string): Promise<boolean>;
  stop(): Promise<void>;
}

export async function openEngine(progress: Progress, signal: AbortSignal): Promise<Engine> {
  const users = await usersEngine();
  if (!users) return startEngine(progress, signal);
  progress('nodes run on your Docker');
  return users;
}

/** The user's own, if it answers. */
export async function usersEngine(): Promise<Engine | undefined> {
  const users = engineOf({}, true, async () => undefined);
  return (await answers(users)) ? users : undefined;
}

const answers = (engine: Engine): Promise<boolean> =>
  engine.docker(['version', '--format', '{{.Server.Version}}'], { timeoutMs: 15_000 }).then(
    () => true,
    () => false,
  );

/** An engine that answers where `env` leads docker. */
export function engineOf(env: Engine['env'], isUsers: boolean, stop: () => Promise<void>): Engine {
  const run = (args: readonly string[], options: CommandOptions = {}) =>
    runCommand('docker', args, { ...options, env: { ...options.env, ...env } });
  return {
    ...{ isUsers, env, stop },
    docker: async (args, options) => (await run(args, options)).stdout,
    hasImage: async (name) => (await run(['image', 'inspect', name], { allow: [1] })).code === 0,
  };
}

async function startEngine(progress: Progress, signal: AbortSignal): Promise<Engine> {
  const { fit = '' } = await ensurePrograms(['fit'], progress, signal);
  const dir = stateDir('kind');
  const data = cacheDir('kind', 'engine');
  const socket = join(dir, 'docker.sock');
  for (const folder of [dir, data]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  await refuseOverlay(data);
  const env = {
    DOCKER_HOST: `unix://${socket}`,
    // The settings of whoever calls would be read, and written.
    DOCKER_CONFIG: join(dir, 'client'),
    ...{ DOCKER_CONTEXT: undefined, DOCKER_TLS_VERIFY: undefined, DOCKER_CERT_PATH: undefined },
  };
  const engine = engineOf(env, false, async () => undefined);
  progress('starting a Docker engine for the node');
  rmSync(join(dir, 'dockerd.pid'), { force: true }); // of one that was killed with its owner
  const dockerd = await startProcess({
    name: 'dockerd',
    command: 'dockerd',
    args: ['--config-file', configure({ dir, data, socket, fit })],
    logFile: join(dir, 'dockerd.log'),
    ready: () => engine.docker(['version']),
    stopWithinMs: 30_000,
  });
  try {
    await layNetwork(engine);
  } catch (error) {
    await dockerd.stop();
    throw error;
  }
  return {
    ...engine,
    async stop() {
      // Its bridge goes with it.
      await engine.docker(['network', 'rm', 'kind'], { allow: [1] });
      await dockerd.stop();
    },
  };
}

interface EngineLayout {
  readonly dir: string;
  readonly data: string;
  readonly socket: string;
  readonly fit: string;
}

/** Writes its settings. @returns the file. */
function configure({ dir, data, socket, fit }: EngineLayout): string {
  const settings = {
    hosts: [`unix://${socket}`],
    'data-root': data,
    'exec-root': join(dir, 'run'),
    pidfile: join(dir, 'dockerd.pid'),
    'storage-driver': 'overlay2',
    'log-level': 'warn',
    'oom-score-adjust': 0,
    // Ports are published by Docker's proxy, and nothing of a node goes further than this machine.
    ...{ bridge: 'none', iptables: false, 'ip-forward': false, 'ip-masq': false },
    ...{ runtimes: { fit: { path: fit } }, 'default-runtime': 'fit' },
  };
  const file = join(dir, 'daemon.json');
  writeFileSync(file, JSON.stringify(settings));
  return file;
}

async function refuseOverlay(folder: string): Promise<void> {
  const { stdout } = await runCommand('stat', ['-f', '-c', '%T', folder]);
  if (stdout.trim() !== 'overlayfs') return;
  const advice = `${folder} is on overlayfs, where no engine can keep images: set CLOUDLET_CACHE_DIR`;
  throw new TerminalError('InvalidTestbed', advice);
}

/** kind takes a network of this name as it finds it. */
async function layNetwork(engine: Engine): Promise<void> {
  const options = [
    `com.docker.network.bridge.name=${network.bridge}`,
    'com.docker.network.bridge.enable_ip_masquerade=false',
  ].flatMap((option) => ['--opt', option]);
  const names = await engine.docker(['network', 'ls', '--format', '{{.Name}}']);
  if (names.split('\n').includes('kind')) return;
  await engine.docker(['network', 'create', '--subnet', network.subnet, ...options, 'kind']);
}
