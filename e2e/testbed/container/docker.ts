/**
 * The user's own Docker as the place where the test bed acts as root.
 *
 * Guarantees: one privileged container with this host's network, in which the very code runs that runs as
 * root elsewhere; the repository, cache and state are at their places in it, nothing else of this machine is;
 * it goes with the process that started it, however that ends. Linux, and a Docker of this machine.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';
import { cacheDir, repositoryRoot, stateDir } from '../host.ts';
import { findCommand } from '../tools.ts';
import type { ContainerImage } from './image.ts';

/** Why the user's Docker cannot be that place, or undefined when it can. */
export async function dockerUnfit(): Promise<string | undefined> {
  if (findCommand('docker') === undefined) return 'there is no docker command';
  const endpoint = '{{.Endpoints.docker.Host}}';
  const host = await docker('context', 'inspect', '--format', endpoint);
  if (host !== undefined && !host.startsWith('unix://')) return `Docker is elsewhere (${host})`;
  const info = await docker('info', '--format', '{{.OperatingSystem}} {{json .SecurityOptions}}');
  if (info === undefined) return 'Docker does not answer this user';
  if (info.startsWith('Docker Desktop')) return 'Docker Desktop has a network of its own';
  if (info.includes('name=rootless')) return 'Docker is rootless';
  return undefined;
}

async function docker(...args: string[]): Promise<string | undefined> {
  return runCommand('docker', args, { timeoutMs: 15_000 }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}

/** The arguments of docker that run `argv` in the container, with these of docker's own variables. */
export async function containerArguments(
  image: ContainerImage,
  argv: readonly string[],
  names: readonly string[],
): Promise<string[]> {
  const go = findCommand('go') && (await runCommand('go', ['env', 'GOROOT'])).stdout.trim();
  for (const folder of [cacheDir(), stateDir()]) mkdirSync(folder, { recursive: true });
  const writable = [repositoryRoot.replace(/\/$/, ''), cacheDir(), stateDir()];
  const readable = [
    ...image.mounts,
    ...[
      '/lib/modules',
      '/etc/ssl/certs/ca-certificates.crt',
      go ?? '',
      findCommand('kubectl') ?? '',
      ...kubeconfigs(),
    ],
  ];
  const path = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
  if (go) path.push(join(go, 'bin'));
  return [
    ...['run', '--rm', '--interactive', '--name', `cloudlet-testbed-${process.pid}`],
    ...['--privileged', '--network', 'host', '--cgroupns', 'private'],
    // On the engine's disk: where overlayfs is the root, no engine can keep images.
    ...['--volume', '/tmp', '--workdir', repositoryRoot],
    ...writable.flatMap((folder) => ['--volume', `${folder}:${folder}`]),
    ...readable
      .filter((path) => path !== '' && existsSync(path))
      .flatMap((path) => ['--volume', `${path}:${path}:ro`]),
    ...names.filter((name) => name !== 'PATH').flatMap((name) => ['--env', name]),
    ...['--env', `PATH=${path.join(delimiter)}`],
    ...['--entrypoint', 'tini', image.name, '--'],
    ...[join(import.meta.dirname, 'enter.sh'), ...argv],
  ];
}

/** Folders of the user's kubeconfigs, for `--provider context`. */
function kubeconfigs(): string[] {
  const files = process.env['KUBECONFIG'] ?? join(homedir(), '.kube', 'config');
  return [
    ...new Set(
      files
        .split(delimiter)
        .filter((file) => file !== '')
        .map(dirname),
    ),
  ];
}
