/**
 * The product's images, made on this machine for every architecture without pulling anything.
 *
 * Guarantees: two layers, of which the first (Node and its libraries) stays the same between releases of the
 * product; no shell, no package manager, not root, nothing that has to be written but what is mounted; the
 * same bytes for the same sources and SOURCE_DATE_EPOCH. The Dockerfiles of operator and agent make images
 * that start alike, on any base that brings Node.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleAgent } from '@cloudlet/agent/bundle';
import { bundleOperator } from '@cloudlet/operator/bundle';
import { mallocTunings, nodeFlags } from '@cloudlet/operator/launch';
import type { Metafile } from 'esbuild';
import {
  type Architecture,
  buildImage,
  type Image,
  noProgress,
  type Progress,
  repositoryRoot,
} from '../testbed/index.ts';
import { debianArchitectures } from '../testbed/images/debian.ts';
import { packagesOf } from '../testbed/images/image.ts';
import { billOfMaterials, bundledPackages, licenseTexts } from './inventory.ts';
import { libraryFiles, nodeFor, nodePackages } from './node.ts';

export const version = (
  JSON.parse(readFileSync(join(repositoryRoot, 'package.json'), 'utf8')) as { version: string }
).version;

/** Time of everything that is built, in seconds; the reproducible-builds variable. */
export const sourceEpoch = (): number => Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);

/** Who the processes run as. */
const user = '65532:65532';

export const products = ['operator', 'agent'] as const;
export type Product = (typeof products)[number];

/** Where `npm run images` writes unless told otherwise, from the repository's root. */
export const imagesFolder = 'dist/images';

/** Name of the archive of a product's images of all architectures. */
export const imagesFile = (product: Product): string => `cloudlet-${product}-${version}.tar`;

/** 32-bit phones run agents, never the region. */
export const architecturesOf: Readonly<Record<Product, readonly Architecture[]>> = {
  operator: ['amd64', 'arm64'],
  agent: ['amd64', 'arm64', 'arm/v7'],
};

export interface Bundle {
  readonly product: Product;
  readonly folder: string;
  readonly metafile: Metafile;
}

export async function bundleOf(product: Product): Promise<Bundle> {
  return { product, ...(product === 'operator' ? await bundleOperator() : await bundleAgent()) };
}

export interface BuildOptions {
  /** Folder that images are kept in. @default the cache's */
  readonly cache?: string;
  readonly progress?: Progress;
}

/** Node and what it needs to run, with their licences; nothing of ours. */
export async function nodeImage(
  architecture: Architecture,
  { cache, progress = noProgress }: BuildOptions = {},
): Promise<Image> {
  const node = await nodeFor(architecture, progress);
  return buildImage({
    name: `cloudlet-node:${nodePackages[architecture].version}`,
    architecture,
    packages: nodePackages[architecture].libraries,
    only: [...libraryFiles, 'usr/share/doc/*/copyright'],
    files: {
      '/usr/local/bin/node': { from: node, mode: 0o755 },
      '/usr/share/doc/node/copyright': { from: join(node, '../LICENSE'), mode: 0o644 },
      '/etc/passwd': {
        content:
          'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n',
      },
      '/etc/group': { content: 'root:x:0:\nnonroot:x:65532:\n' },
      '/etc/nsswitch.conf': { content: 'hosts: files dns\n' },
    },
    user,
    epoch: sourceEpoch(),
    ...(cache !== undefined && { cache }),
    progress,
  });
}

/** Where each product's code lies in its image, and how it starts: as in the Dockerfiles. */
const starts: Readonly<Record<Product, readonly string[]>> = {
  operator: ['node', ...nodeFlags, '/app/cloudlet.mjs'],
  agent: ['node', '--max-semi-space-size=1', '/app/agent.mjs'],
};

export async function productImage(
  bundle: Bundle,
  architecture: Architecture,
  options: BuildOptions = {},
): Promise<Image> {
  const { product } = bundle;
  const base = await nodeImage(architecture, options);
  const title = `cloudlet-${product}`;
  return buildImage({
    name: `${title}:${version}`,
    architecture,
    base,
    files: {
      ...Object.fromEntries(
        codeOf(bundle).map((file) => [
          `/app/${file}`,
          { from: join(bundle.folder, file), mode: 0o644 },
        ]),
      ),
      '/app/LICENSE': { from: join(repositoryRoot, 'LICENSE'), mode: 0o644 },
      '/app/LICENSES.txt': { content: licenseTexts(bundledPackages(bundle.metafile)) },
    },
    entrypoint: starts[product],
    env: { NODE_ENV: 'production', ...(product === 'operator' && mallocTunings) },
    user,
    ...(product === 'agent' && { owned: ['/var/lib/cloudlet-agent'] }),
    labels: {
      'org.opencontainers.image.title': title,
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    },
    epoch: sourceEpoch(),
    ...(options.cache !== undefined && { cache: options.cache }),
    ...(options.progress && { progress: options.progress }),
  });
}

/** Files of the bundle that run, as paths in its folder. */
export const codeOf = ({ folder }: Bundle): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.mjs'))
    .sort();

/** The components of one image, or of the agent's archive, as CycloneDX. */
export async function billOf(bundle: Bundle, architecture: Architecture): Promise<string> {
  const base = await nodeImage(architecture);
  return billOfMaterials({
    workspace: `@cloudlet/${bundle.product}`,
    name: `cloudlet-${bundle.product}`,
    version,
    packages: bundledPackages(bundle.metafile),
    node: nodePackages[architecture].version,
    debian: packagesOf(base),
    architecture: debianArchitectures[architecture],
    epoch: sourceEpoch(),
  });
}
