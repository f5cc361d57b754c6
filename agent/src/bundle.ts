/**
 * Bundles the agent for machines without this repository: dist/agent/agent.mjs and a file for each part that
 * is loaded on demand, drivers above all.
 *
 * Guarantees: syntax of Node 20, ES modules; no client of Kubernetes, no gRPC and no protobuf in it (dockerode
 * asks for the last two for builds by BuildKit alone, which no agent does); a native addon is never needed.
 * The same sources give the same bytes.
 */
import { rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, type Plugin } from 'esbuild';

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export interface BundleOptions {
  /** @default dist/agent of the repository */
  readonly outFolder?: string;
  /** @default the version in package.json */
  readonly version?: string;
  readonly minify?: boolean;
}

export interface BundleResult {
  readonly folder: string;
  readonly entry: string;
  readonly metafile: Metafile;
}

/** Modules that are left out, each with why nobody misses it. */
const leftOut: Readonly<Record<string, string>> = {
  '@grpc/grpc-js': 'builds by BuildKit only',
  '@grpc/proto-loader': 'builds by BuildKit only',
  protobufjs: 'builds by BuildKit only',
  ssh2: 'engines over SSH only; the agent has its own engine',
  'cpu-features': 'a native addon of ssh2',
};

export async function bundleAgent(options: BundleOptions = {}): Promise<BundleResult> {
  const folder = options.outFolder ?? source('../../dist/agent');
  const { version } = createRequire(import.meta.url)('../package.json') as { version: string };
  await rm(folder, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: [{ in: source('./main.ts'), out: 'agent' }],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    minify: options.minify ?? true,
    keepNames: true,
    legalComments: 'none',
    metafile: true,
    define: { CLOUDLET_AGENT_VERSION: JSON.stringify(options.version ?? version) },
    inject: [source('./node20.ts')],
    // CommonJS inside asks for the modules of Node by `require`.
    banner: {
      js: "import{createRequire as cloudletRequire}from'node:module';const require=cloudletRequire(import.meta.url);",
    },
    plugins: [leaveOut],
    logLevel: 'warning',
  });
  await writeFile(join(folder, 'meta.json'), JSON.stringify(metafile));
  return { folder, entry: join(folder, 'agent.mjs'), metafile };
}

/** Resolves what is left out to a module that fails when it is used, not when it is loaded. */
const leaveOut: Plugin = {
  name: 'leave-out',
  setup(builder) {
    const filter = new RegExp(`^(${Object.keys(leftOut).join('|')})(/|$)`);
    builder.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({
      contents: "export { default as en } from './en.js';", // messages in English only
      loader: 'js',
    }));
    builder.onResolve({ filter }, ({ path }) => ({ path, namespace: 'left-out' }));
    builder.onLoad({ filter: /.*/, namespace: 'left-out' }, ({ path }) => ({
      contents: stub(path),
      loader: 'js',
    }));
  },
};

/** Its members may be named when a module is loaded; to call or make one fails. */
const stub = (path: string): string => `
  const missing = () => { throw new Error(${JSON.stringify(`${path} is not part of the agent`)}); };
  const member = new Proxy(function () {}, { get: () => member, apply: missing, construct: missing });
  module.exports = member;`;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { folder, metafile } = await bundleAgent();
  const bytes = Object.values(metafile.outputs).reduce((sum, { bytes: size }) => sum + size, 0);
  process.stdout.write(`${folder}: ${Math.round(bytes / 1024)} KiB\n`);
}
