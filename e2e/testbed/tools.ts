/**
 * The tools of this machine that the test bed uses, each with the Debian package that brings it.
 *
 * Guarantees: says what it is about to install before it does, never asks a question, installs nothing that
 * is there, and where it may not install ends in one line that names the tool and the package.
 */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { isRoot } from './host.ts';
import type { Progress } from './progress.ts';

/** Command and Debian package. */
export type Tool = readonly [command: string, debianPackage: string];

/** The embedded control plane needs these. */
export const controlPlaneTools: readonly Tool[] = [
  ['openssl', 'openssl'],
  ['setpriv', 'util-linux'],
];

/** Phones and images need these too. */
export const phoneTools: readonly Tool[] = [
  ['dockerd', 'docker.io'],
  ['docker', 'docker.io'],
  ['containerd', 'containerd'],
  ['runc', 'runc'],
  ['ip', 'iproute2'],
  ['bridge', 'iproute2'],
  ['iptables', 'iptables'],
  ['nsenter', 'util-linux'],
  ['unshare', 'util-linux'],
  ['docker-registry', 'docker-registry'],
  ['qemu-arm-static', 'qemu-user-static'],
  ['tar', 'tar'],
];

/**
 * Installs the packages of the tools that are missing.
 * @throws TerminalError (`MissingTool`) naming tool and package where that is not possible.
 */
export async function ensureTools(
  progress: Progress,
  tools: readonly Tool[] = [...controlPlaneTools, ...phoneTools],
): Promise<void> {
  const missing = missingOf(tools);
  if (missing.length === 0) return;
  const packages = packagesOf(missing);
  const commands = missing.map(([command]) => command).join(', ');
  const advice = `missing ${commands}: apt-get install ${packages.join(' ')}`;
  const prefix = await rootPrefix();
  if (prefix === undefined || findCommand('apt-get') === undefined) {
    throw new TerminalError('MissingTool', advice);
  }
  progress(`installing Debian packages: ${packages.join(' ')}`);
  const apt = async (...args: string[]): Promise<void> => {
    const argv = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args];
    await runCommand(argv[0] ?? '', argv.slice(1), { timeoutMs: 15 * 60_000 });
  };
  try {
    await apt('update', '-qq');
    await apt('install', '-y', '-qq', '--no-install-recommends', ...packages);
  } catch (cause) {
    throw new TerminalError('MissingTool', advice, { cause });
  }
  await stopServices(prefix, packages, progress);
}

export function missingOf(tools: readonly Tool[]): Tool[] {
  return tools.filter(([command]) => findCommand(command) === undefined);
}

export function packagesOf(tools: readonly Tool[]): string[] {
  return [...new Set(tools.map(([, name]) => name))].sort();
}

/** What packages start when they are installed. The bed runs engines and a registry of its own. */
const services: Readonly<Record<string, readonly string[]>> = {
  'docker.io': ['docker.socket', 'docker.service'],
  containerd: ['containerd.service'],
  'docker-registry': ['docker-registry.service'],
  'redis-server': ['redis-server.service'],
};

/** Stops the services of packages that were just installed: nobody asked for them. */
async function stopServices(
  prefix: readonly string[],
  packages: readonly string[],
  progress: Progress,
): Promise<void> {
  const units = packages.flatMap((name) => services[name] ?? []);
  if (units.length === 0 || !existsSync('/run/systemd/system')) return;
  progress(`stopping services that came with them: ${units.join(' ')}`);
  const argv = [...prefix, 'systemctl', 'disable', '--now', ...units];
  await runCommand(argv[0] ?? '', argv.slice(1), { allow: [1, 5], timeoutMs: 60_000 });
}

/** What to put before a command to run it as root: nothing, `sudo -n`, or undefined where neither works. */
export async function rootPrefix(): Promise<readonly string[] | undefined> {
  if (isRoot()) return [];
  if (findCommand('sudo') === undefined) return undefined;
  const works = await runCommand('sudo', ['-n', 'true'], { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  );
  return works ? ['sudo', '-n'] : undefined;
}

/** Where commands are, also those that only root has in its PATH: Debian's users lack the last three. */
export const commandFolders = (): readonly string[] => [
  ...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''),
  ...['/usr/local/sbin', '/usr/sbin', '/sbin'],
];

/** The path of a command, also of those that only root has in its PATH. */
export function findCommand(command: string): string | undefined {
  return commandFolders()
    .map((folder) => join(folder, command))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
