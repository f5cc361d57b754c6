/**
 * `npm run images`: the images of operator and agent for every architecture, and the agent's archives.
 *
 * Guarantees: pulls no image (Node comes from npm, libraries from Debian); the same bytes for the same sources
 * and SOURCE_DATE_EPOCH; each image has its list of components beside it, each archive its checksum.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packAgent } from '../images/agent-archive.ts';
import { sizesOf, writeArchive } from '../images/oci.ts';
import {
  architecturesOf,
  billOf,
  type Bundle,
  bundleOf,
  imagesFile,
  imagesFolder,
  productImage,
  products,
  version,
} from '../images/product.ts';
import { type Progress, repositoryRoot } from '../testbed/index.ts';
import { runMain } from './steps/main.ts';

const flagTable = {
  out: { type: 'string', default: imagesFolder, description: 'Folder to write to.' },
  only: { type: 'list', description: 'amd64, arm64 or arm/v7; may be given again. Default: all.' },
  archives: { type: 'boolean', description: "Make the agent's archives too." },
} as const;

interface Made {
  readonly name: string;
  readonly architecture: string;
  readonly unpacked?: number;
  readonly transferred: number;
}

const usage = {
  call: 'npm run images -- [flags]',
  summary: 'Makes the images of operator and agent, and prints their sizes.',
  flags: flagTable,
};

await runMain(usage, async ({ progress, signal }, flags) => {
  const out = join(repositoryRoot, flags.out);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const made: Made[] = [];
  const isWanted = (architecture: string): boolean =>
    flags.only.length === 0 || flags.only.includes(architecture);
  for (const product of products) {
    const bundle = await bundleOf(product);
    const architectures = architecturesOf[product].filter(isWanted);
    const images = [];
    for (const architecture of architectures) {
      signal.throwIfAborted();
      const image = await productImage(bundle, architecture, { progress });
      images.push(image);
      const bill = `cloudlet-${product}-${version}-linux-${architecture.replace('/', '')}.cdx.json`;
      writeFileSync(join(out, bill), await billOf(bundle, architecture));
      made.push({ name: image.name, architecture, ...(await sizesOf(image)) });
      if (product === 'agent' && flags.archives)
        made.push(await archiveOf(bundle, architecture, out, progress));
    }
    if (images.length === 0) continue;
    const file = join(out, imagesFile(product));
    const digest = await writeArchive(images, file);
    progress(`${file}: cloudlet-${product}:${version} for ${architectures.join(', ')}, ${digest}`);
  }
  console.log(tableOf(made));
  return 0;
});

async function archiveOf(
  bundle: Bundle,
  architecture: (typeof architecturesOf.agent)[number],
  out: string,
  progress: Progress,
): Promise<Made> {
  const file = await packAgent(bundle, architecture, out);
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
  writeFileSync(`${file}.sha256`, `${hash}  ${basename(file)}\n`);
  progress(`${file}: sha256 ${hash}`);
  return { name: basename(file), architecture, transferred: statSync(file).size };
}

function tableOf(made: readonly Made[]): string {
  const mib = (bytes?: number): string =>
    bytes === undefined ? '' : (bytes / 2 ** 20).toFixed(1).padStart(8);
  const width = Math.max(...made.map(({ name }) => name.length));
  const lines = made.map(
    ({ name, architecture, unpacked, transferred }) =>
      `${name.padEnd(width)}  ${architecture.padEnd(6)}  ${mib(unpacked).padEnd(8)}  ${mib(transferred)}`,
  );
  return ['MiB: on disk, transferred', ...lines].join('\n');
}
