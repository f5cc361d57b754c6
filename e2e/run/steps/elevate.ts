/**
 * Acting as root where phones need it.
 *
 * Guarantees: nothing is asked; what can be made as the user is made before; the cache belongs to the user
 * again afterwards; what acts as root ends with this process. In this order: as root or by `sudo -n` where
 * the tools are there; in a container of the user's own Docker, so that nothing is installed beside it; as
 * root after apt. Where none of them is at hand the caller is told why and goes on without.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import {
  cacheDir,
  commandFolders,
  containerArguments,
  dockerUnfit,
  ensureContainerImage,
  isRoot,
  missingOf,
  phoneTools,
  rootPrefix,
  stateDir,
} from '../../testbed/index.ts';
import { temporaryFolder } from './bed.ts';
import type { CommandContext } from './main.ts';

const ownerVariable = 'CLOUDLET_USER';

/** Variables that the command gets as root too. */
const kept =
  /^(PATH|HOME|TERM|CI|KUBECONFIG|NODE_EXTRA_CA_CERTS|SSL_CERT_\w+|GO.*|XDG_.*|CLOUDLET_.*|.*_proxy|.*_PROXY)$/;

/**
 * Runs this command again as root where that is possible and needed.
 * @param what what there is nothing without root for; absent where the command can do without.
 * @returns its exit code, or undefined where this process shall go on: as root, or without it.
 * @throws TerminalError (`NotRoot`) where `what` is not to be had.
 */
export async function runAsRoot(
  context: CommandContext,
  what?: string,
): Promise<number | undefined> {
  const code = await again(context);
  if (code !== undefined) return code;
  if (what !== undefined && !isRoot())
    throw new TerminalError(
      'NotRoot',
      `${what} want root: run as root, or where sudo asks for no password or Docker is yours`,
    );
  context.cleanup.defer(returnCache);
  return undefined;
}

async function again(context: CommandContext): Promise<number | undefined> {
  if (process.env[ownerVariable] !== undefined) return undefined;
  const { progress } = context;
  const prefix = await rootPrefix();
  const missing = missingOf(phoneTools);
  if (prefix === undefined || missing.length > 0) {
    const unfit = await dockerUnfit();
    if (unfit === undefined) return runInDocker(context);
    if (prefix === undefined) {
      progress(`no phones: neither root nor sudo without a password is at hand, and ${unfit}`);
      return undefined;
    }
  }
  if (isRoot()) return undefined;
  progress('going on as root (sudo): phones are made of namespaces');
  const [sudo = 'sudo', ...args] = prefix ?? [];
  return runTethered(sudo, [...args, ...(await withEnvironment(context))], context);
}

/** Addresses of proxies may hold passwords, and what stands in an argv everybody on the machine can read. */
const isPrivate = (name: string): boolean => /proxy$/i.test(name);

/** This command with its variables, which sudo takes away: the private ones by a file of the user's. */
async function withEnvironment(context: CommandContext): Promise<readonly string[]> {
  const variables = Object.entries(environment());
  const open = variables.filter(([name]) => !isPrivate(name));
  const hidden = variables.filter(([name]) => isPrivate(name));
  const file = join(await temporaryFolder(context, 'environment'), 'variables');
  await writeFile(file, hidden.map(([name, value]) => `${name}='${value}'\n`).join(''), {
    mode: 0o600,
  });
  const [node = '', ...command] = thisCommand();
  const shown = open.map(([name, value]) => `${name}=${value}`);
  return ['env', ...shown, node, `--env-file=${file}`, ...command];
}

async function runInDocker(context: CommandContext): Promise<number> {
  const { progress, signal } = context;
  const image = await ensureContainerImage(progress, signal);
  progress('going on in a container of your Docker: phones are made of namespaces');
  const variables = environment();
  const args = await containerArguments(image, thisCommand(), Object.keys(variables));
  return runTethered('docker', args, context, variables);
}

const thisCommand = (): string[] => [process.execPath, ...process.argv.slice(1)];

/** What the command gets as root: where the user's folders are, and whose they are. */
function environment(): Record<string, string> {
  // Made by the user, or else they would be root's.
  for (const folder of [cacheDir(), stateDir()]) mkdirSync(folder, { recursive: true });
  const variables = {
    ...process.env,
    PATH: commandFolders().join(delimiter),
    CLOUDLET_CACHE_DIR: cacheDir(),
    CLOUDLET_STATE_DIR: stateDir(),
    CLOUDLET_TETHER: 'stdin',
    // Go's own folders would get files of root among the user's.
    GOCACHE: cacheDir('go', 'build'),
    GOMODCACHE: cacheDir('go', 'mod'),
    GOFLAGS: `${process.env['GOFLAGS'] ?? ''} -modcacherw`.trim(),
    [ownerVariable]: `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`,
  };
  const entries = Object.entries(variables).filter(([name]) => kept.test(name));
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']));
}

/** Runs it to its end. Its standard input closes when this process ends, which ends it too (`runMain`). */
function runTethered(
  command: string,
  args: readonly string[],
  { signal }: CommandContext,
  variables: Readonly<Record<string, string>> = {},
): Promise<number> {
  const child = spawn(command, [...args], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { ...process.env, ...variables },
  });
  const forward = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', forward);
  if (signal.aborted) forward();
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, killer) =>
      resolve(killer ? 128 + constants.signals[killer] : (code ?? 1)),
    );
  });
}

/** The user whom `runAsRoot` came from; undefined where root itself started this. */
export function user(): { readonly uid: number; readonly gid: number } | undefined {
  const [uid, gid] = (process.env[ownerVariable] ?? '').split(':').map(Number);
  return isRoot() && uid && gid ? { uid, gid } : undefined;
}

/** Gives cache and state back to that user. */
async function returnCache(): Promise<void> {
  const owner = user();
  if (!owner) return;
  await runCommand('chown', ['-R', `${owner.uid}:${owner.gid}`, cacheDir(), stateDir()]);
}
