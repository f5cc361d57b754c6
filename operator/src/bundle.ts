/**
 * Bundles the region's processes: dist/operator/cloudlet.mjs and a file for each process, loaded on demand.
 *
 * Guarantees: syntax of Node 24, ES modules, no native addon; the same sources give the same bytes.
 */
import { rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export interface OperatorBundle {
  readonly folder: string;
  readonly entry: string;
  readonly metafile: Metafile;
}

export async function bundleOperator(
  folder = source('../../dist/operator'),
): Promise<OperatorBundle> {
  const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
  await rm(folder, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: [{ in: source('./main.ts'), out: 'cloudlet' }],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    metafile: true,
    define: { CLOUDLET_REGION_VERSION: JSON.stringify(version) },
    // Optional accelerators of ws, which are native addons.
    external: ['bufferutil', 'utf-8-validate'],
    // CommonJS inside asks for the modules of Node by `require`.
    banner: {
      js: "import{createRequire as cloudletRequire}from'node:module';const require=cloudletRequire(import.meta.url);",
    },
    logLevel: 'warning',
  });
  await writeFile(join(folder, 'meta.json'), JSON.stringify(metafile));
  return { folder, entry: join(folder, 'cloudlet.mjs'), metafile };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { folder, metafile } = await bundleOperator();
  const bytes = Object.values(metafile.outputs).reduce((sum, { bytes: size }) => sum + size, 0);
  process.stdout.write(`${folder}: ${Math.round(bytes / 1024)} KiB\n`);
}
