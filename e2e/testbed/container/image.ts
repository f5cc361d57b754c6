/**
 * The image of the container in which the test bed runs on the user's own Docker: Debian with the tools.
 *
 * Guarantees: made once for each list of packages; by `docker build` from Debian's image where that can be
 * pulled, else of packages that this machine's apt brings; this machine itself gets nothing installed.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { contentHash, describeError, runCommand, TerminalError } from '@cloudlet/runtime/base';
import { buildImage, type ImageFile, writeDockerArchive } from '../images/image.ts';
import type { Progress } from '../progress.ts';
import { controlPlaneTools, findCommand, packagesOf, phoneTools } from '../tools.ts';

const base = 'debian:bookworm-slim';

/** What the tools do not name: an init, authorities' certificates. */
const packages = [
  ...new Set([
    ...packagesOf([...controlPlaneTools, ...phoneTools]),
    'bash',
    'ca-certificates',
    'tini',
  ]),
].sort();

/** What Debian's image holds already, and an image of single packages does not. */
const system = [
  ...['apt', 'base-files', 'coreutils', 'dash', 'debian-archive-keyring', 'dpkg', 'findutils'],
  ...[
    'gpgv',
    'grep',
    'gzip',
    'hostname',
    'kmod',
    'libc-bin',
    'mawk',
    'mount',
    'sed',
    'xz-utils',
    'zlib1g',
  ],
];

export interface ContainerImage {
  readonly name: string;
  /** Folders of this machine that it wants in their place, read-only. */
  readonly mounts: readonly string[];
}

/** @throws TerminalError (`NoImage`) where neither way works. */
export async function ensureContainerImage(
  progress: Progress,
  signal: AbortSignal,
): Promise<ContainerImage> {
  const hash = contentHash({ base, packages, system }, 12);
  const built = { name: `cloudlet-testbed:${hash}`, mounts: [] };
  const unpacked = {
    name: `cloudlet-testbed:${hash}-unpacked`,
    mounts: ['/etc/apt', '/usr/share/keyrings'],
  };
  for (const image of [built, unpacked]) if (await isThere(image.name)) return image;
  progress(`building image ${built.name} on your Docker: ${base} with ${packages.join(' ')}`);
  try {
    await build(built.name, signal);
    return built;
  } catch (cause) {
    signal.throwIfAborted();
    if (findCommand('apt-get') === undefined || findCommand('dpkg-deb') === undefined) {
      throw new TerminalError('NoImage', `${base} cannot be pulled, and there is no apt-get`, {
        cause,
      });
    }
    const [reason] = describeError(cause).split('\n').slice(-1);
    progress(`${base} cannot be pulled (${reason}): making the image of packages instead`);
  }
  await loadUnpacked(unpacked.name, progress, signal);
  return unpacked;
}

async function isThere(name: string): Promise<boolean> {
  const { code } = await runCommand('docker', ['image', 'inspect', name], { allow: [1] });
  return code === 0;
}

async function build(name: string, signal: AbortSignal): Promise<void> {
  const dockerfile = [
    `FROM ${base}`,
    'ENV DEBIAN_FRONTEND=noninteractive',
    `RUN apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')}`,
  ];
  await runCommand('docker', ['build', '--network', 'host', '--tag', name, '-'], {
    input: dockerfile.join('\n') + '\n',
    timeoutMs: 20 * 60_000,
    signal,
  });
}

/** What Debian's maintainer scripts would have linked. */
const links: Readonly<Record<string, ImageFile>> = {
  '/usr/sbin/iptables': { linkTo: 'xtables-nft-multi' },
  '/usr/sbin/ip6tables': { linkTo: 'xtables-nft-multi' },
  // Without it apt reads no armoured key.
  '/usr/bin/awk': { linkTo: 'mawk' },
  '/var/lib/dpkg/status': { content: '' },
  '/var/lib/dpkg/arch': { content: 'amd64\n' },
};

async function loadUnpacked(name: string, progress: Progress, signal: AbortSignal): Promise<void> {
  const image = await buildImage({
    ...{ name, architecture: 'amd64', progress },
    packages: [...new Set([...packages, ...system])].sort(),
    files: links,
  });
  const archive = join(image.dir, 'docker.tar');
  try {
    await writeDockerArchive(image, archive);
    await runCommand('docker', ['load', '--input', archive], { timeoutMs: 300_000, signal });
  } finally {
    if (existsSync(archive)) rmSync(archive);
  }
}
