/**
 * Container images made of Debian packages and files, without a builder and without pulling anything.
 *
 * Guarantees: one layer, on those of a base where there is one; the same bytes for the same input (names
 * sorted, one time, owner root); kept in the cache by the hash of what they are made of; an image is there
 * complete or not at all. Where no package list names versions, a newer package makes no new image until the
 * cache is cleared.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  type Dirent,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, matchesGlob, relative } from 'node:path';
import { contentHash, runCommand } from '@cloudlet/runtime/base';
import { cacheDir } from '../host.ts';
import { noProgress, type Progress } from '../progress.ts';
import { type Architecture, type DebianPackage, unpackPackages } from './debian.ts';

/** A file of the image: copied from this machine, written from text, or a link. */
export type ImageFile =
  | { readonly from: string; readonly mode?: number }
  | { readonly content: string; readonly mode?: number }
  | { readonly linkTo: string };

export interface ImageOptions {
  /** Name and tag, without a registry. */
  readonly name: string;
  readonly architecture: Architecture;
  /** The image whose layers come first, of the same architecture. */
  readonly base?: Image;
  readonly packages?: readonly string[];
  /** By absolute path in the image. */
  readonly files?: Readonly<Record<string, ImageFile>>;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  /** Folders that belong to that user, whose own are numbers: `uid:gid`. */
  readonly owned?: readonly string[];
  readonly workingDir?: string;
  readonly exposedPorts?: readonly number[];
  readonly stopSignal?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Time of every file and of the image, in seconds. @default 0 */
  readonly epoch?: number;
  /** Globs of what is kept of the packages, as paths without the first slash. @default all */
  readonly only?: readonly string[];
  /** Folder that images are kept in. @default the cache's */
  readonly cache?: string;
  readonly progress?: Progress;
}

export interface Layer {
  /** tar.gz */
  readonly file: string;
  readonly digest: string;
  /** Digest of the tar. */
  readonly diffId: string;
}

export interface Image {
  readonly name: string;
  readonly architecture: Architecture;
  /** Holds layer.tar.gz, config.json and packages.json. */
  readonly dir: string;
  readonly configDigest: string;
  /** First those of the base. */
  readonly layers: readonly Layer[];
}

/** Two processes may make the same image at once: the same bytes, so the first stays. */
function moveUnlessThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

export async function buildImage(options: ImageOptions): Promise<Image> {
  const { progress = noProgress, base } = options;
  const dir = join(options.cache ?? cacheDir('images'), hashOf(options));
  if (!existsSync(dir)) {
    progress(`making image ${options.name} for linux/${options.architecture}`);
    mkdirSync(dirname(dir), { recursive: true });
    const aside = mkdtempSync(`${dir}.`);
    try {
      await make(options, aside);
      moveUnlessThere(aside, dir);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  }
  const file = join(dir, 'layer.tar.gz');
  const config = readFileSync(join(dir, 'config.json'), 'utf8');
  const { rootfs } = JSON.parse(config) as { rootfs: { diff_ids: string[] } };
  const layer = { file, digest: digestOf(file), diffId: rootfs.diff_ids.at(-1) ?? '' };
  return {
    name: options.name,
    architecture: options.architecture,
    dir,
    configDigest: digestOf(join(dir, 'config.json')),
    layers: [...(base?.layers ?? []), layer],
  };
}

/** The Debian packages that an image's own layer is made of. */
export function packagesOf(image: Image): readonly DebianPackage[] {
  return JSON.parse(readFileSync(join(image.dir, 'packages.json'), 'utf8')) as DebianPackage[];
}

/** Everything that the image is made of, the bytes of its files included. */
function hashOf(options: ImageOptions): string {
  const { progress: _, name: __, cache: ___, files = {}, base, ...rest } = options;
  const contents = Object.entries(files).map(([path, file]): [string, unknown] => [
    path,
    'from' in file ? { mode: file.mode, digest: digestOf(file.from) } : file,
  ]);
  const below = base?.layers.map(({ digest }) => digest) ?? [];
  return contentHash({ format: 2, ...rest, below, files: contents.sort() }, 24);
}

async function make(options: ImageOptions, dir: string): Promise<void> {
  const root = join(dir, 'root');
  mkdirSync(root);
  if (!options.base) layBase(root);
  const { architecture, packages = [], progress = noProgress } = options;
  const unpacked =
    packages.length > 0
      ? await unpackPackages({ architecture, packages, into: root, progress })
      : [];
  writeFileSync(join(dir, 'packages.json'), JSON.stringify(unpacked));
  if (options.only) keepOnly(root, options.only);
  else for (const folder of ['doc', 'man', 'locale']) removeShared(root, folder);
  for (const [path, file] of Object.entries(options.files ?? {})) addFile(join(root, path), file);
  setFolderModes(root);
  const layer = join(dir, 'layer.tar');
  const { epoch = 0, user = '0:0', owned = [] } = options;
  await packTar({ folder: root, file: layer, epoch });
  for (const folder of owned) await appendFolder(root, layer, { folder, epoch, user });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(configOf(options, digestOf(layer))));
  await runCommand('gzip', ['-n', '-6', layer], { timeoutMs: 300_000 });
  rmSync(root, { recursive: true });
}

function layBase(root: string): void {
  for (const folder of ['tmp', 'etc', 'run', 'proc', 'sys', 'dev']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\n');
}

const removeShared = (root: string, folder: string): void =>
  rmSync(join(root, 'usr/share', folder), { recursive: true, force: true });

function keepOnly(root: string, globs: readonly string[]): void {
  for (const entry of entriesOf(root)) {
    const path = join(entry.parentPath, entry.name);
    const isWanted = globs.some((glob) => matchesGlob(relative(root, path), glob));
    if (!entry.isDirectory() && !isWanted) rmSync(path);
  }
  // Deepest first: a folder that is empty by then goes too.
  for (const { parentPath, name } of entriesOf(root).reverse()) {
    const path = join(parentPath, name);
    if (lstatSync(path).isDirectory() && readdirSync(path).length === 0) rmdirSync(path);
  }
}

/** Whatever the umask of who builds. */
function setFolderModes(root: string): void {
  for (const entry of entriesOf(root)) {
    if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755);
  }
  const temporary = join(root, 'tmp');
  if (existsSync(temporary)) chmodSync(temporary, 0o1777);
}

/**
 * All below a folder, a folder before what is in it. Links are not followed, as readdir's own recursion does:
 * those of packages lead to this machine's files.
 */
export function entriesOf(folder: string): Dirent[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [entry, ...entriesOf(join(folder, entry.name))] : [entry],
  );
}

export interface Tar {
  readonly folder: string;
  readonly file: string;
  /** Time of every entry, in seconds. */
  readonly epoch: number;
  /** What of the folder. @default '.' */
  readonly member?: string;
}

/** The same bytes for the same content and modes: names sorted, one time, owner root. */
export async function packTar({ folder, file, epoch, member = '.' }: Tar): Promise<void> {
  const plain = ['--format=gnu', '--sort=name', '--numeric-owner', '--owner=0', '--group=0'];
  const entries = [`--mtime=@${epoch}`, '--hard-dereference', '-C', folder, '-cf', file, member];
  await runCommand('tar', [...plain, ...entries], { timeoutMs: 300_000 });
}

async function appendFolder(
  root: string,
  file: string,
  { folder, epoch, user }: { folder: string; epoch: number; user: string },
): Promise<void> {
  const path = join(root, folder);
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o750);
  const [uid, gid] = user.split(':');
  const owner = ['--format=gnu', '--numeric-owner', `--owner=${uid}`, `--group=${gid}`];
  const entry = [`--mtime=@${epoch}`, '--no-recursion', '-C', root];
  await runCommand('tar', ['--append', ...owner, ...entry, '-f', file, `.${folder}`]);
}

function addFile(path: string, file: ImageFile): void {
  mkdirSync(dirname(path), { recursive: true });
  if ('linkTo' in file) {
    symlinkSync(file.linkTo, path);
    return;
  }
  if ('content' in file) writeFileSync(path, file.content);
  else cpSync(file.from, path);
  chmodSync(path, file.mode ?? ('content' in file ? 0o644 : 0o755));
}

/** The image's configuration, as OCI's image specification has it. */
function configOf(options: ImageOptions, diffId: string): unknown {
  const env = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ...options.env,
  };
  const { entrypoint, command, user, workingDir, exposedPorts = [], stopSignal, labels } = options;
  const created = new Date((options.epoch ?? 0) * 1_000).toISOString().replace('.000Z', 'Z');
  const below = options.base?.layers.map((layer) => layer.diffId) ?? [];
  return {
    ...platformOf(options.architecture),
    created,
    config: {
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      Entrypoint: entrypoint,
      Cmd: command,
      User: user,
      WorkingDir: workingDir,
      StopSignal: stopSignal,
      Labels: labels,
      ExposedPorts: Object.fromEntries(exposedPorts.map((port) => [`${port}/tcp`, {}])),
    },
    rootfs: { type: 'layers', diff_ids: [...below, diffId] },
    history: [...below, diffId].map(() => ({ created, created_by: 'cloudlet' })),
  };
}

/** As OCI writes it. */
export function platformOf(architecture: Architecture): {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
} {
  return architecture === 'arm/v7'
    ? { architecture: 'arm', variant: 'v7', os: 'linux' }
    : { architecture, os: 'linux' };
}

export function digestOf(file: string): string {
  return `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}

/** Writes the image as `docker load` takes it. */
export async function writeDockerArchive(image: Image, file: string): Promise<void> {
  const dir = mkdtempSync(`${file}.`);
  try {
    const names = image.layers.map((layer, index) => {
      symlinkSync(layer.file, join(dir, `layer-${index}.tar.gz`));
      return `layer-${index}.tar.gz`;
    });
    symlinkSync(join(image.dir, 'config.json'), join(dir, 'config.json'));
    const manifest = [{ Config: 'config.json', RepoTags: [image.name], Layers: names }];
    writeFileSync(join(dir, 'manifest.json'), JSON.stringify(manifest));
    const members = ['manifest.json', 'config.json', ...names];
    await runCommand('tar', ['-C', dir, '-chf', file, ...members], { timeoutMs: 300_000 });
  } finally {
    rmSync(dir, { recursive: true });
  }
}
