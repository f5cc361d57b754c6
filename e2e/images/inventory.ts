/**
 * What a bundle is made of: its CycloneDX list of components and the texts of their licences.
 *
 * Guarantees: the list is npm's own, of the lockfile, cut down to the packages whose code is in the bundle,
 * and added to by Node and the Debian packages around it; the same bytes for the same input (npm's serial
 * number and time are left out, the time is the build's).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidError, runCommand } from '@cloudlet/runtime/base';
import type { Metafile } from 'esbuild';
import { repositoryRoot } from '../testbed/index.ts';
import type { DebianPackage } from '../testbed/images/debian.ts';

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Below the repository. */
  readonly folder: string;
}

/** npm packages of which there is code in the bundle, by name. */
export function bundledPackages(metafile: Metafile): readonly BundledPackage[] {
  const folders = new Set<string>();
  for (const { inputs } of Object.values(metafile.outputs)) {
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
      if (found !== undefined && bytesInOutput > 0) folders.add(found);
    }
  }
  return [...folders]
    .map((folder) => {
      const text = readFileSync(join(repositoryRoot, folder, 'package.json'), 'utf8');
      return { ...(JSON.parse(text) as Omit<BundledPackage, 'folder'>), folder };
    })
    .map(({ name, version, license, folder }) => ({ name, version, license, folder }))
    .sort((a, b) => a.folder.localeCompare(b.folder, 'en'));
}

/** Name, version and licence text of each. @throws InvalidError for a package that says nothing of it. */
export function licenseTexts(packages: readonly BundledPackage[]): string {
  return packages
    .map(({ name, version, license, folder }) => {
      const path = join(repositoryRoot, folder);
      const file = readdirSync(path).find((each) => /^(licen[cs]e|copying)/i.test(each));
      if (file === undefined && !license) throw new InvalidError(`${name} names no licence`);
      const text = file === undefined ? '' : readFileSync(join(path, file), 'utf8').trim();
      return `${name} ${version} (${license})\n\n${text || 'Its package holds no text of it.'}\n`;
    })
    .join(`\n${'-'.repeat(78)}\n\n`);
}

export interface BillOptions {
  /** The workspace that was bundled, such as @cloudlet/agent. */
  readonly workspace: string;
  /** What the list is of. */
  readonly name: string;
  readonly version: string;
  readonly packages: readonly BundledPackage[];
  /** Its version, where it is part of it. */
  readonly node?: string;
  readonly debian?: readonly DebianPackage[];
  /** As Debian says it. */
  readonly architecture?: string;
  readonly epoch: number;
}

interface Component {
  readonly 'bom-ref': string;
}

/** @throws InvalidError when npm's list lacks a package whose code is in the bundle. */
export async function billOfMaterials(options: BillOptions): Promise<string> {
  const { name, version, packages, debian = [], architecture = 'all', epoch } = options;
  const npm = await npmComponents(options.workspace);
  const missing = packages.filter((each) => !npm.has(refOf(each)));
  if (missing.length > 0) {
    throw new InvalidError(`the lockfile has no ${missing.map(refOf).join(', ')}`);
  }
  const node =
    options.node === undefined
      ? []
      : [component('application', 'node', options.node, `pkg:generic/node@${options.node}`)];
  const system = debian.map((each) => {
    const purl = `pkg:deb/debian/${each.name}@${encodeURIComponent(each.version)}?arch=${architecture}`;
    return component('library', each.name, each.version, purl);
  });
  const components = [...packages.map((each) => npm.get(refOf(each))), ...node, ...system];
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify([name, version, epoch, components]))}`,
    version: 1,
    metadata: {
      timestamp: new Date(epoch * 1_000).toISOString(),
      component: { type: 'application', 'bom-ref': `${name}@${version}`, name, version },
    },
    components,
  };
  return JSON.stringify(bill, undefined, 2) + '\n';
}

const refOf = ({ name, version }: Pick<BundledPackage, 'name' | 'version'>): string =>
  `${name}@${version}`;

const component = (type: string, name: string, version: string, purl: string): object => ({
  'bom-ref': purl,
  ...{ type, name, version, purl },
});

async function npmComponents(workspace: string): Promise<ReadonlyMap<string, Component>> {
  const what = ['--sbom-format', 'cyclonedx', '--sbom-type', 'application'];
  const { stdout } = await runCommand(
    'npm',
    ['sbom', ...what, '--package-lock-only', '--workspace', workspace],
    { cwd: repositoryRoot, timeoutMs: 120_000 },
  );
  const { components } = JSON.parse(stdout) as { components: readonly Component[] };
  return new Map(components.map((each) => [each['bom-ref'], each]));
}

/** A UUID (version 8) of the content, so that the same list has the same number. */
function uuidOf(content: string): string {
  const hex = createHash('sha256').update(content).digest('hex');
  const fields = [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`];
  return [...fields, `8${hex.slice(17, 20)}`, hex.slice(20, 32)].join('-');
}
