/**
 * `npm run release`: everything that a tag ships, in one folder: images, charts, the agent's archives, the
 * plugin with its krew manifest, the API reference, lists of components and checksums. It publishes nothing:
 * that is the workflow's, which runs this command.
 *
 * Guarantees: what a release must not have is said before anything is built, and ends it; with --dry-run it is
 * said and the rest goes on. The same bytes for the same commit, whose time everything bears.
 */
import { copyFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { version } from '../images/product.ts';
import { problemsOf } from '../release/checks.ts';
import { packChart, packPlugin, sha256Of } from '../release/packing.ts';
import { repositoryRoot } from '../testbed/index.ts';
import { helmOf } from '../testbed/helm/helm.ts';
import { runMain } from './steps/main.ts';

const flagTable = {
  'dry-run': { type: 'boolean', description: 'Say what a release must not have, and go on.' },
  out: { type: 'string', default: 'dist/release', description: 'Folder to write to.' },
  url: {
    type: 'string',
    default: 'https://example.invalid/cloudlet-operator',
    description: 'Home page of the project, where its releases are downloaded from.',
  },
} as const;

const usage = {
  call: 'npm run release -- [flags]',
  summary: 'Makes everything that a release ships.',
  flags: flagTable,
};

await runMain(usage, async ({ progress, signal }, flags) => {
  const problems = await problemsOf(version);
  for (const problem of problems) progress(`a release must not have: ${problem}`);
  if (problems.length > 0 && !flags['dry-run'])
    throw new TerminalError(
      'NotReleasable',
      `${problems.length} reasons not to release, see above`,
    );
  const out = join(repositoryRoot, flags.out);
  rmSync(out, { recursive: true, force: true });
  const epoch = await commitTime();
  progress('images and archives');
  const script = join(repositoryRoot, 'e2e/run/images.ts');
  await runCommand(process.execPath, [script, '--archives', '--out', flags.out], {
    cwd: repositoryRoot,
    env: { SOURCE_DATE_EPOCH: String(epoch) },
    timeoutMs: 30 * 60_000,
    signal,
    onOutput: (text) => process.stdout.write(text),
  });
  progress('charts');
  const packed = { out, version, epoch };
  const helm = await helmOf();
  for (const name of ['cloudlet-operator', 'cloudlet-agent']) await packChart(name, helm, packed);
  progress('plugin and its krew manifest');
  await packPlugin({ ...packed, url: flags.url });
  copyFileSync(join(repositoryRoot, 'docs/reference/api.md'), join(out, 'api.md'));
  writeFileSync(join(out, 'SHA256SUMS'), checksums(out));
  progress(`${flags.out} holds ${version}: ${readdirSync(out).length} files`);
  return 0;
});

/** Seconds. */
async function commitTime(): Promise<number> {
  const args = ['log', '-1', '--format=%ct'];
  return Number((await runCommand('git', args, { cwd: repositoryRoot })).stdout);
}

/** As `sha256sum --check` takes it. */
function checksums(folder: string): string {
  return readdirSync(folder)
    .sort()
    .map((name) => `${sha256Of(join(folder, name))}  ${name}\n`)
    .join('');
}
