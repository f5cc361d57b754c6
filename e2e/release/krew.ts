/** The plugin as krew takes it: one archive, and the manifest that names it by its checksum. */
import { stringify } from 'yaml';

export interface KrewOptions {
  /** Without a leading v. */
  readonly version: string;
  /** Where the archive is downloaded from: HOMEPAGE/releases/download/TAG/FILE. */
  readonly uri: string;
  readonly sha256: string;
}

/**
 * A `krew.googlecontainertools.github.com/v1alpha2` Plugin. One archive serves every platform, since the
 * plugin is a program for Node; krew wants each platform named all the same.
 */
export function krewManifest({ version, uri, sha256 }: KrewOptions): string {
  const platforms = ['linux', 'darwin'].flatMap((os) =>
    ['amd64', 'arm64'].map((arch) => ({
      selector: { matchLabels: { os, arch } },
      uri,
      sha256,
      bin: 'kubectl-cloudlet',
      files: [
        { from: 'kubectl-cloudlet', to: '.' },
        { from: 'LICENSE', to: '.' },
        { from: 'LICENSES.txt', to: '.' },
      ],
    })),
  );
  const manifest = {
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'cloudlet' },
    spec: {
      version: `v${version}`,
      homepage: new URL('../../..', uri).href.replace(/\/$/, ''),
      shortDescription: 'Work with edge sites and their instances',
      description:
        'Joins sites to a Cloudlet region, shows what runs where and why, says where an\n' +
        'instance would go before it is applied, opens programs, logs and shells at sites\n' +
        'that accept no connection, and tells what is wrong and what to do.\n',
      caveats: 'Needs Node 22.19 or later in the PATH.\n',
      platforms,
    },
  };
  // Unfolded, so that the description is read as it was written.
  return stringify(manifest, { lineWidth: 0 });
}
