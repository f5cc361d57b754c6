/** Bundles the plugin: dist/kubectl-cloudlet, one executable file for Node 22.19 and later. */
import { chmod } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { build, type Metafile } from 'esbuild';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const outFileByDefault = source('../../dist/kubectl-cloudlet');

/** @returns the path of the file. */
export async function bundlePlugin(outFile = outFileByDefault): Promise<string> {
  await buildPlugin(outFile);
  return outFile;
}

/** Writes the plugin, and tells what it is made of. */
export async function buildPlugin(outFile: string): Promise<{ readonly metafile: Metafile }> {
  const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
  const { metafile } = await build({
    absWorkingDir: source('../..'), // what the metafile's paths begin at
    metafile: true,
    entryPoints: [source('./main.ts')],
    outfile: outFile,
    bundle: true,
    // A file without an ending is taken for what its syntax says since Node 20.19.
    format: 'esm',
    platform: 'node',
    target: 'node22',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    define: { CLOUDLET_CLI_VERSION: JSON.stringify(version) },
    banner: {
      js:
        "#!/usr/bin/env node\nimport{createRequire as cloudletRequire}from'node:module';const require=cloudletRequire(import.meta.url);" +
        "if(Number(process.versions.node.split('.')[0])<22){process.stderr.write(`error: kubectl cloudlet needs Node 22.19 or later, this is ${process.version}\\n`);process.exit(1)}",
    },
    logLevel: 'warning',
  });
  await chmod(outFile, 0o755);
  return { metafile };
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(`${await bundlePlugin()}\n`);
