/**
 * Container images made of Debian packages and files, without a builder and without pulling anything.
 *
 * Guarantees: one layer, the same bytes for the same input (names sorted, no time, owner root); kept in the
 * cache by the hash of what they are made of; an image is there complete or not at all. Where no package
 * list names versions, a newer package makes no new image until the cache is cleared.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { contentHash, runCommand } from '@cloudlet/runtime/base';
import { cacheDir } from '../host.ts';
import { noProgress, type Progress } from '../progress.ts';
import { type Architecture, unpackPackages } from './debian.ts';

/** A file of the image: copied from this machine, written from text, or a link. */
export type ImageFile =
  | { readonly from: string; readonly mode?: number }
  | { readonly content: string; readonly mode?: number }
  | { readonly linkTo: string };

export interface ImageOptions {
  /** Name and tag, without a registry. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly packages?: readonly string[];
  /** By absolute path in the image. */
  readonly files?: Readonly<Record<string, ImageFile>>;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: string;
  readonly workingDir?: string;
  readonly exposedPorts?: readonly number[];
  readonly stopSignal?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly progress?: Progress;
}

export interface Image {
  readonly name: string;
  readonly architecture: Architecture;
  /** Holds layer.tar.gz and config.json. */
  readonly dir: string;
  readonly configDigest: string;
  readonly layerDigest: string;
}

export async function buildImage(options: ImageOptions): Promise<Image> {
  const { progress = noProgress } = options;
  const dir = cacheDir('images', hashOf(options));
  if (!existsSync(dir)) {
    progress(`making image ${options.name} for linux/${options.architecture}`);
    mkdirSync(dirname(dir), { recursive: true });
    const aside = mkdtempSync(`${dir}.`);
    try {
      await make(options, aside);
      renameSync(aside, dir);
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  }
  return {
    name: options.name,
    architecture: options.architecture,
    dir,
    configDigest: digestOf(join(dir, 'config.json')),
    layerDigest: digestOf(join(dir, 'layer.tar.gz')),
  };
}

/** Everything that the image is made of, the bytes of its files included. */
function hashOf(options: ImageOptions): string {
  const { progress: _, name: __, files = {}, ...rest } = options;
  const contents = Object.entries(files).map(([path, file]): [string, unknown] => [
    path,
    'from' in file ? { mode: file.mode, digest: digestOf(file.from) } : file,
  ]);
  return contentHash({ format: 1, ...rest, files: contents.sort() }, 24);
}

async function make(options: ImageOptions, dir: string): Promise<void> {
  const root = join(dir, 'root');
  for (const folder of ['tmp', 'etc', 'run', 'proc', 'sys', 'dev']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  chmodSync(join(root, 'tmp'), 0o1777);
  writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  writeFileSync(join(root, 'etc', 'group'), 'root:x:0:\n');
  const { architecture, packages = [], progress = noProgress } = options;
  if (packages.length > 0) await unpackPackages({ architecture, packages, into: root, progress });
  for (const folder of ['usr/share/doc', 'usr/share/man', 'usr/share/locale']) {
    rmSync(join(root, folder), { recursive: true, force: true });
  }
  for (const [path, file] of Object.entries(options.files ?? {})) addFile(join(root, path), file);
  const layer = join(dir, 'layer.tar');
  const plain = ['--sort=name', '--numeric-owner', '--owner=0', '--group=0', '--mtime=@0'];
  await runCommand('tar', [...plain, '-C', root, '-cf', layer, '.'], { timeoutMs: 300_000 });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(configOf(options, digestOf(layer))));
  await runCommand('gzip', ['-n', '-1', layer], { timeoutMs: 300_000 });
  rmSync(root, { recursive: true });
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
  return {
    ...(options.architecture === 'amd64'
      ? { architecture: 'amd64' }
      : { architecture: 'arm', variant: 'v7' }),
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
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
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'cloudlet test bed' }],
  };
}

export function digestOf(file: string): string {
  return `sha256:${createHash('sha256').update(readFileSync(file)).digest('hex')}`;
}

/** Writes the image as `docker load` takes it. */
export async function writeDockerArchive(image: Image, file: string): Promise<void> {
  const manifest = [{ Config: 'config.json', RepoTags: [image.name], Layers: ['layer.tar.gz'] }];
  writeFileSync(join(image.dir, 'manifest.json'), JSON.stringify(manifest));
  const names = ['manifest.json', 'config.json', 'layer.tar.gz'];
  await runCommand('tar', ['-C', image.dir, '-cf', file, ...names], { timeoutMs: 300_000 });
}
