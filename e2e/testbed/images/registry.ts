/**
 * Pushing images to a registry of the test bed, by the registry's own HTTP API (plain HTTP).
 *
 * Guarantees: what is there is not sent again; images of several architectures under one name become one
 * manifest list, so that each engine takes its own.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UnreachableError } from '@cloudlet/runtime/base';
import { type Image, platformOf } from './image.ts';

const types = {
  manifest: 'application/vnd.docker.distribution.manifest.v2+json',
  list: 'application/vnd.docker.distribution.manifest.list.v2+json',
  config: 'application/vnd.docker.container.image.v1+json',
  layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const;

export interface PushedImage {
  /** registry/name:tag */
  readonly reference: string;
  /** Digest of the manifest or manifest list. */
  readonly digest: string;
}

/**
 * Pushes images of one name and different architectures.
 * @param registry host and port
 * @throws UnreachableError with what the registry said.
 */
export async function pushImages(
  registry: string,
  name: string,
  images: readonly Image[],
): Promise<PushedImage> {
  const [repository = name, tag = 'latest'] = name.split(':');
  const base = `http://${registry}/v2/${repository}`;
  const manifests = [];
  for (const image of images) {
    await pushBlob(base, join(image.dir, 'config.json'), image.configDigest);
    for (const { file, digest } of image.layers) await pushBlob(base, file, digest);
    const content = JSON.stringify(manifestOf(image));
    const only = images.length === 1;
    const digest = await pushManifest(base, only ? tag : sha256(content), content, types.manifest);
    manifests.push({ image, digest, size: Buffer.byteLength(content) });
  }
  const reference = `${registry}/${repository}:${tag}`;
  const [first] = manifests;
  if (manifests.length === 1 && first) return { reference, digest: first.digest };
  const list = JSON.stringify({
    schemaVersion: 2,
    mediaType: types.list,
    manifests: manifests.map(({ image, digest, size }) => ({
      mediaType: types.manifest,
      digest,
      size,
      platform: platformOf(image.architecture),
    })),
  });
  return { reference, digest: await pushManifest(base, tag, list, types.list) };
}

function manifestOf(image: Image): unknown {
  const config = join(image.dir, 'config.json');
  return {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, size: statSync(config).size, digest: image.configDigest },
    layers: image.layers.map(({ file, digest }) => ({
      mediaType: types.layer,
      size: statSync(file).size,
      digest,
    })),
  };
}

async function pushBlob(base: string, file: string, digest: string): Promise<void> {
  const there = await fetch(`${base}/blobs/${digest}`, { method: 'HEAD' });
  if (there.ok) return;
  const opened = await accepted(`${base}/blobs/uploads/`, { method: 'POST' });
  const location = new URL(opened.headers.get('location') ?? '', base);
  location.searchParams.set('digest', digest);
  await accepted(location.href, {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: readFileSync(file),
  });
}

async function pushManifest(
  base: string,
  reference: string,
  body: string,
  type: string,
): Promise<string> {
  await accepted(`${base}/manifests/${reference}`, {
    method: 'PUT',
    headers: { 'content-type': type },
    body,
  });
  return sha256(body);
}

async function accepted(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(120_000) });
  if (response.ok) return response;
  const text = (await response.text()).slice(0, 500);
  throw new UnreachableError(`${init.method} ${url}: ${response.status} ${text}`);
}

const sha256 = (text: string): string =>
  `sha256:${createHash('sha256').update(text).digest('hex')}`;
