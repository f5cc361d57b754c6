/**
 * One file for an image of several architectures: an OCI image layout, which `ctr image import`, `kind load
 * image-archive`, skopeo and their like take, and in the same file what older `docker load` reads, for the
 * architecture of this machine.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';
import type { Architecture, Image } from '../testbed/index.ts';
import { platformOf } from '../testbed/images/image.ts';

const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export const ownArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** Writes the images, of one name, to `file`. @returns the digest of their index, by which a registry knows it. */
export async function writeArchive(images: readonly Image[], file: string): Promise<string> {
  const dir = mkdtempSync(`${file}.`);
  const blobs = join(dir, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  try {
    const manifests = images.map((image) => ({
      ...writeManifest(blobs, image),
      platform: platformOf(image.architecture),
    }));
    const index = writeBlob(blobs, types.index, {
      schemaVersion: 2,
      mediaType: types.index,
      manifests,
    });
    const name = images[0]?.name ?? '';
    const annotations = {
      'io.containerd.image.name': name.includes('/') ? name : `docker.io/library/${name}`,
      'org.opencontainers.image.ref.name': name.split(':')[1],
    };
    write(dir, 'oci-layout', { imageLayoutVersion: '1.0.0' });
    write(dir, 'index.json', { schemaVersion: 2, manifests: [{ ...index, annotations }] });
    write(dir, 'manifest.json', dockerManifest(images));
    await packLayout(dir, file);
    return index.digest;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function writeManifest(blobs: string, image: Image): Descriptor {
  const config = join(image.dir, 'config.json');
  link(blobs, image.configDigest, config);
  for (const { digest, file } of image.layers) link(blobs, digest, file);
  return writeBlob(blobs, types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: image.configDigest, size: statSync(config).size },
    layers: image.layers.map(({ digest, file }) => ({
      mediaType: types.layer,
      digest,
      size: statSync(file).size,
    })),
  });
}

function dockerManifest(images: readonly Image[]): unknown {
  const own = images.find(({ architecture }) => architecture === ownArchitecture) ?? images[0];
  const pathOf = (digest: string): string => `blobs/sha256/${hexOf(digest)}`;
  return own
    ? [
        {
          Config: pathOf(own.configDigest),
          RepoTags: [own.name],
          Layers: own.layers.map(({ digest }) => pathOf(digest)),
        },
      ]
    : [];
}

const hexOf = (digest: string): string => digest.slice('sha256:'.length);

/** Architectures may share a blob. */
function link(blobs: string, digest: string, file: string): void {
  const path = join(blobs, hexOf(digest));
  rmSync(path, { force: true });
  symlinkSync(file, path);
}

function writeBlob(blobs: string, mediaType: string, content: unknown): Descriptor {
  const text = JSON.stringify(content);
  const hex = createHash('sha256').update(text).digest('hex');
  writeFileSync(join(blobs, hex), text);
  return { mediaType, digest: `sha256:${hex}`, size: Buffer.byteLength(text) };
}

const write = (dir: string, name: string, content: unknown): void =>
  writeFileSync(join(dir, name), JSON.stringify(content));

async function packLayout(dir: string, file: string): Promise<void> {
  const plain = ['--format=gnu', '--sort=name', '--numeric-owner', '--owner=0', '--group=0'];
  const modes = ['--mtime=@0', '--mode=u=rwX,go=rX', '--dereference', '--hard-dereference'];
  // docker load reads from the start: the layouts before the blobs.
  const members = ['oci-layout', 'index.json', 'manifest.json', 'blobs'];
  await runCommand('tar', [...plain, ...modes, '-C', dir, '-cf', file, ...members], {
    timeoutMs: 300_000,
  });
}

/** What the image takes unpacked, in bytes, and what is transferred. */
export async function sizesOf(image: Image): Promise<{ unpacked: number; transferred: number }> {
  let unpacked = 0;
  let transferred = 0;
  for (const { file } of image.layers) {
    transferred += statSync(file).size;
    const { stdout } = await runCommand('gzip', ['--list', '--quiet', file]);
    unpacked += Number(stdout.trim().split(/\s+/)[1]);
  }
  return { unpacked, transferred };
}
