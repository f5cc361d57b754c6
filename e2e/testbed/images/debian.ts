/**
 * Debian packages of any architecture as files, without touching what is installed on this machine.
 *
 * Guarantees: apt works in folders of its own (lists, archives, an empty status), with this machine's
 * sources and keys; signatures are checked as always; what was downloaded once is not downloaded again.
 * Only the packages asked for and the libraries among their dependencies are unpacked: what a program needs
 * to run, not what an installation needs (no maintainer script runs).
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runCommand, UnreachableError } from '@cloudlet/runtime/base';
import { cacheDir } from '../host.ts';
import { noProgress, type Progress } from '../progress.ts';

export const debianArchitectures = { amd64: 'amd64', arm64: 'arm64', 'arm/v7': 'armhf' } as const;
export type Architecture = keyof typeof debianArchitectures;

export interface Unpack {
  readonly architecture: Architecture;
  readonly packages: readonly string[];
  /** Folder that the files go to. */
  readonly into: string;
  readonly progress?: Progress;
}

export interface DebianPackage {
  readonly name: string;
  readonly version: string;
}

/** Unpacks packages and the libraries that they need below a folder. @returns what was unpacked. */
export async function unpackPackages(request: Unpack): Promise<readonly DebianPackage[]> {
  const { architecture, packages, into, progress = noProgress } = request;
  const apt = aptOf(debianArchitectures[architecture]);
  await apt.update(progress);
  const files = await apt.resolve(packages);
  progress(
    `unpacking ${files.length} Debian packages (${apt.architecture}) for ${packages.join(' ')}`,
  );
  for (const file of await apt.download(files)) {
    await runCommand('dpkg-deb', ['-x', file, into]);
  }
  return files.map(({ name, file }) => ({
    name,
    version: decodeURIComponent(file.split('_')[1] ?? ''),
  }));
}

interface PackageFile {
  readonly name: string;
  readonly file: string;
}

interface Apt {
  readonly architecture: string;
  update(progress: Progress): Promise<void>;
  resolve(packages: readonly string[]): Promise<PackageFile[]>;
  download(files: readonly PackageFile[]): Promise<string[]>;
}

function aptOf(architecture: string): Apt {
  const dir = cacheDir('debian', architecture);
  const archives = join(dir, 'cache', 'archives');
  const run = async (args: readonly string[]): Promise<string> => {
    const options = optionsOf(dir, architecture).flatMap((option) => ['-o', option]);
    // apt gives up at once where another one works in its folder.
    const command = ['apt-get', ...options, ...args];
    const { stdout } = await runCommand('flock', [join(dir, 'lock'), ...command], {
      timeoutMs: 20 * 60_000,
      env: { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
    });
    return stdout;
  };
  return {
    architecture,
    async update(progress) {
      if (existsSync(join(dir, 'updated'))) return;
      progress(`reading Debian's package lists for ${architecture}`);
      for (const folder of ['lists/partial', 'cache/archives/partial', 'none/partial', 'parts']) {
        mkdirSync(join(dir, folder), { recursive: true });
      }
      writeFileSync(join(dir, 'status'), '');
      const sources = await sourceLines(dir);
      const update = async (lines: readonly string[]): Promise<unknown> => {
        writeFileSync(join(dir, 'sources.list'), lines.join('\n') + '\n');
        return run(['update', '-qq']);
      };
      // The release itself holds all packages: without a mirror of its updates they are a little older.
      await update(sources.all).catch(() => update(sources.release));
      writeFileSync(join(dir, 'updated'), '');
    },
    async resolve(packages) {
      // It names what it would download, so the folder that it compares with is an empty one.
      const output = await run([
        ...['-o', `Dir::Cache::archives=${join(dir, 'none')}`],
        ...['install', '--print-uris', '-qq', '-y', '--no-install-recommends'],
        ...packages,
      ]);
      return output
        .split('\n')
        .map((line) => /^'[^']+' (\S+) /.exec(line)?.[1])
        .filter((file) => file !== undefined)
        .map((file) => ({ name: file.split('_')[0] ?? file, file }))
        .filter(({ name }) => packages.includes(name) || name.startsWith('lib'));
    },
    async download(files) {
      const missing = files.filter(({ file }) => !existsSync(join(archives, file)));
      const names = missing.map(({ name }) => name);
      if (names.length > 0) {
        await run(['install', '--download-only', '-qq', '-y', '--no-install-recommends', ...names]);
      }
      return files.map(({ file }) => fileIn(archives, file));
    },
  };
}

function optionsOf(dir: string, architecture: string): string[] {
  return [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    'APT::Sandbox::User=root',
    'Acquire::Retries=2',
    'APT::Install-Recommends=false',
    'APT::Keep-Downloaded-Packages=true',
    `Dir::State=${dir}`,
    `Dir::State::status=${dir}/status`,
    `Dir::State::lists=${dir}/lists`,
    `Dir::Cache=${dir}/cache`,
    `Dir::Etc::sourcelist=${dir}/sources.list`,
    `Dir::Etc::sourceparts=${dir}/parts`,
    'DPkg::Post-Invoke::=true',
  ];
}

/** This machine's own Debian sources, component main of its release: other sources may lack the architecture. */
async function sourceLines(dir: string): Promise<{ all: string[]; release: string[] }> {
  const release = readFileSync('/etc/os-release', 'utf8');
  const suite = /^VERSION_CODENAME=(\S+)/m.exec(release)?.[1] ?? 'stable';
  const targets = await indexTargets([]);
  // A machine that never ran `apt-get update` names none: read its lists, into a folder of our own.
  const lines = targets.length > 0 ? targets : await indexTargets(await readLists(dir));
  const suiteOf = (line: string): string => line.split(' ')[2] ?? '';
  const all = [...new Set(lines)].filter(
    (line) => /debian/.test(line) && line.endsWith(' main') && suiteOf(line).startsWith(suite),
  );
  if (all.length === 0) {
    throw new UnreachableError(`apt's sources name no main component of Debian ${suite}`);
  }
  return { all, release: all.filter((line) => suiteOf(line) === suite) };
}

/** What this machine's sources offer, as far as their lists were read. */
async function indexTargets(options: readonly string[]): Promise<string[]> {
  const format = ['--format', 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)', 'Created-By: Packages'];
  const { stdout } = await runCommand('apt-get', [...options, 'indextargets', ...format]);
  return stdout.split('\n').filter((line) => line !== '');
}

/** @returns the options by which apt looks there. */
async function readLists(dir: string): Promise<string[]> {
  const lists = join(dir, 'machine', 'lists');
  const archives = join(dir, 'machine', 'archives');
  for (const folder of [lists, archives]) mkdirSync(join(folder, 'partial'), { recursive: true });
  const options = [
    ...['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${join(dir, 'machine')}`],
    ...['-o', 'APT::Sandbox::User=root', '-o', 'Acquire::Retries=2'],
  ];
  await runCommand('apt-get', [...options, 'update', '-qq'], { timeoutMs: 10 * 60_000 });
  return options;
}

/** apt writes an epoch's colon as %3a, the same as --print-uris does; be sure. */
function fileIn(archives: string, file: string): string {
  const found = readdirSync(archives).find(
    (name) => name === file || decodeURIComponent(name) === decodeURIComponent(basename(file)),
  );
  if (found === undefined) throw new UnreachableError(`apt did not download ${file}`);
  return join(archives, found);
}
