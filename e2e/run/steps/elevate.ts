/**
 * Acting as root where phones need it.
 *
 * Guarantees: nothing is asked (`sudo -n`); what can be made as the user is made before; the cache belongs
 * to the user again afterwards. Where neither root nor sudo is at hand the caller is told and goes on without.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { runCommand } from '@cloudlet/runtime/base';
import { cacheDir, isRoot, rootPrefix } from '../../testbed/index.ts';
import type { CommandContext } from './main.ts';

const ownerVariable = 'CLOUDLET_USER';

/**
 * Runs this command again as root where that is possible and needed.
 * @returns its exit code, or undefined where this process shall go on: as root, or without it.
 */
export async function runAsRoot({ progress, signal }: CommandContext): Promise<number | undefined> {
  if (isRoot()) return undefined;
  const prefix = await rootPrefix();
  if (prefix === undefined) return undefined;
  progress('going on as root (sudo): phones are made of namespaces');
  const owner = `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
  const environment = {
    ...process.env,
    CLOUDLET_CACHE_DIR: cacheDir(),
    [ownerVariable]: owner,
  };
  const kept = Object.entries(environment)
    .filter(([name]) =>
      /^(PATH|HOME|TERM|CI|GO.*|XDG_.*|CLOUDLET_.*|.*_proxy|.*_PROXY)$/.test(name),
    )
    .map(([name, value]) => `${name}=${value}`);
  const argv = [...prefix, 'env', ...kept, process.execPath, ...process.argv.slice(1)];
  const child = spawn(argv[0] ?? 'sudo', argv.slice(1), { stdio: 'inherit' });
  signal.addEventListener('abort', () => child.kill('SIGTERM'));
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

/** Gives the cache back to that user. */
export async function returnCache(): Promise<void> {
  const owner = user();
  if (owner) await runCommand('chown', ['-R', `${owner.uid}:${owner.gid}`, cacheDir()]);
}
