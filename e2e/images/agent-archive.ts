/**
 * The agent as one archive for machines that run it beside Docker: code, Node, the libraries that Node needs,
 * a systemd unit, an OpenRC service, how to install it, licences and components.
 *
 * Guarantees: runs on any Linux of the architecture, whatever its C library; the same bytes for the same
 * sources and SOURCE_DATE_EPOCH; nothing in it is writable by others or belongs to anybody but root.
 */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';
import { type Architecture, repositoryRoot } from '../testbed/index.ts';
import { packTar } from '../testbed/images/image.ts';
import { bundledPackages, licenseTexts } from './inventory.ts';
import { billOf, type Bundle, codeOf, nodeImage, sourceEpoch, version } from './product.ts';

const packaging = join(repositoryRoot, 'agent/packaging');

/** Where each file of agent/packaging goes, and how. */
export const packaged: Readonly<Record<string, { readonly to: string; readonly mode: number }>> = {
  'cloudlet-agent': { to: 'bin/cloudlet-agent', mode: 0o755 },
  'cloudlet-agent.service': { to: 'systemd/cloudlet-agent.service', mode: 0o644 },
  environment: { to: 'systemd/environment', mode: 0o644 },
  'cloudlet-agent.initd': { to: 'openrc/cloudlet-agent.initd', mode: 0o755 },
  'INSTALL.md': { to: 'INSTALL.md', mode: 0o644 },
};

export const archiveName = (architecture: Architecture): string =>
  `cloudlet-agent-${version}-linux-${architecture.replace('/', '')}.tar.gz`;

/** Writes the archive into a folder. @returns its path. */
export async function packAgent(
  bundle: Bundle,
  architecture: Architecture,
  folder: string,
): Promise<string> {
  const aside = await mkdtemp(join(tmpdir(), 'cloudlet-agent-archive-'));
  try {
    const root = join(aside, 'cloudlet-agent');
    const put = (path: string, mode: number, make: (target: string) => void): void => {
      const target = join(root, path);
      mkdirSync(dirname(target), { recursive: true });
      make(target);
      chmodSync(target, mode);
    };
    const copy = (from: string, to: string, mode = 0o644): void =>
      put(to, mode, (target) => copyFileSync(from, target));
    for (const [name, { to, mode }] of Object.entries(packaged))
      copy(join(packaging, name), to, mode);
    for (const file of codeOf(bundle)) copy(join(bundle.folder, file), `app/${file}`);
    await addNode(architecture, join(aside, 'base'), copy);
    copy(join(repositoryRoot, 'LICENSE'), 'LICENSE');
    const bill = await billOf(bundle, architecture);
    put('sbom.cdx.json', 0o644, (target) => writeFileSync(target, bill));
    const licenses = licenseTexts(bundledPackages(bundle.metafile));
    put('licenses/packages.txt', 0o644, (target) => writeFileSync(target, licenses));
    for (const entry of readdirSync(aside, { recursive: true, withFileTypes: true }))
      if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o755);
    return await pack(aside, join(folder, archiveName(architecture)));
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** Node, its libraries and their licences, out of the layer that the images have too. */
async function addNode(
  architecture: Architecture,
  unpacked: string,
  copy: (from: string, to: string, mode?: number) => void,
): Promise<void> {
  const image = await nodeImage(architecture);
  mkdirSync(unpacked, { recursive: true });
  for (const { file } of image.layers)
    await runCommand('tar', ['-xzf', file, '-C', unpacked, '--no-same-owner']);
  for (const path of readdirSync(unpacked, { recursive: true, encoding: 'utf8' }).sort()) {
    const name = basename(path);
    if (/^usr\/share\/doc\/[^/]+\/copyright$/.test(path))
      copy(join(unpacked, path), `licenses/${basename(dirname(path))}.txt`);
    else if (name === 'node' && path.endsWith('bin/node'))
      copy(join(unpacked, path), 'bin/node', 0o755);
    else if (/^(lib|usr\/lib)\/[^/]+\/[^/]+\.so\.\d+$/.test(path))
      copy(join(unpacked, path), `lib/${name}`, name.startsWith('ld-') ? 0o755 : 0o644);
  }
}

async function pack(aside: string, archive: string): Promise<string> {
  mkdirSync(dirname(archive), { recursive: true });
  const tar = join(aside, 'archive.tar');
  await packTar({ folder: aside, file: tar, epoch: sourceEpoch(), member: 'cloudlet-agent' });
  await runCommand('gzip', ['-n', '-6', tar], { timeoutMs: 300_000 });
  const part = `${archive}.${process.pid}.part`;
  copyFileSync(`${tar}.gz`, part);
  renameSync(part, archive);
  return archive;
}
