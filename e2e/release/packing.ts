/**
 * Charts and plugin as files of a release.
 *
 * Guarantees: the same bytes for the same content and time, which helm's own packages are not; the plugin's
 * archive holds the licences of the packages that are bundled in it, and its components are listed beside it.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildPlugin } from '@cloudlet/cli/bundle';
import { runCommand } from '@cloudlet/runtime/base';
import { billOfMaterials, bundledPackages, licenseTexts } from '../images/inventory.ts';
import { packTar } from '../testbed/images/image.ts';
import { repositoryRoot } from '../testbed/index.ts';
import type { Helm } from '../testbed/helm/helm.ts';
import { krewManifest } from './krew.ts';

export interface PackOptions {
  /** Folder to write to. */
  readonly out: string;
  readonly version: string;
  /** Time of everything that is packed, in seconds. */
  readonly epoch: number;
}

/** Packs a chart of the repository. @returns the file. */
export async function packChart(
  name: string,
  helm: Helm,
  { out, version, epoch }: PackOptions,
): Promise<string> {
  const chart = join(repositoryRoot, 'charts', name);
  await helm(['lint', '--strict', chart]);
  return aside(async (folder) => {
    await helm(['package', chart, '--destination', folder, '--version', version]);
    const file = `${name}-${version}`;
    // helm writes the time of day into every entry.
    await runCommand('tar', ['-xpzf', join(folder, `${file}.tgz`), '-C', folder]);
    await packTar({ folder, file: join(folder, `${file}.tar`), epoch, member: name });
    await runCommand('gzip', ['-n', '-6', join(folder, `${file}.tar`)]);
    copyFileSync(join(folder, `${file}.tar.gz`), join(out, `${file}.tgz`));
    return join(out, `${file}.tgz`);
  });
}

export interface PluginOptions extends PackOptions {
  /** Home page of the project, where its releases are downloaded from. */
  readonly url: string;
}

/** Packs the plugin, and writes its list of components and its krew manifest beside it. @returns the archive. */
export async function packPlugin({ out, version, epoch, url }: PluginOptions): Promise<string> {
  return aside(async (folder) => {
    const plugin = join(folder, 'plugin');
    mkdirSync(plugin);
    const { metafile } = await buildPlugin(join(plugin, 'kubectl-cloudlet'));
    const packages = bundledPackages(metafile);
    copyFileSync(join(repositoryRoot, 'LICENSE'), join(plugin, 'LICENSE'));
    writeFileSync(join(plugin, 'LICENSES.txt'), licenseTexts(packages));
    const name = `kubectl-cloudlet-${version}`;
    const tar = join(folder, `${name}.tar`);
    await packTar({ folder: plugin, file: tar, epoch });
    await runCommand('gzip', ['-n', '-6', tar]);
    const archive = join(out, `${name}.tar.gz`);
    copyFileSync(`${tar}.gz`, archive);
    const bill = { workspace: '@cloudlet/cli', name: 'kubectl-cloudlet', version, packages, epoch };
    writeFileSync(join(out, `${name}.cdx.json`), await billOfMaterials(bill));
    const uri = `${url}/releases/download/v${version}/${name}.tar.gz`;
    const manifest = krewManifest({ version, uri, sha256: sha256Of(archive) });
    writeFileSync(join(out, 'cloudlet.krew.yaml'), manifest);
    return archive;
  });
}

async function aside<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cloudlet-release-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export function sha256Of(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}
