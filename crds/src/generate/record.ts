/**
 * The kinds as they were released last: `crds/released/*.yaml`, which the present ones are held against.
 *
 * Guarantees: only a release writes it anew (`npm run generate -- --record`), so what breaks those who have
 * objects shows in the commit that does it, as a change of these files.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { parse, stringify } from 'yaml';
import { kinds } from '../kinds.ts';
import { apiGroup, type KindDefinition } from '../schema.ts';
import type { Definition } from './compatibility.ts';
import { manifestOf } from './manifest.ts';

export const recordFolder = 'crds/released';
const versionAnnotation = `${apiGroup}/released`;

/** A definition that bears the version in which it was released. */
export interface Released extends Definition {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
}

export const releasedVersion = ({ metadata }: Released): string | undefined =>
  metadata.annotations?.[versionAnnotation];

export const presentDefinition = (kind: KindDefinition): Definition =>
  manifestOf(kind) as Definition;

/** Path in the repository to content. */
export function recordFiles(): ReadonlyMap<string, string> {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  return new Map(
    kinds.map((kind) => [`${recordFolder}/${kind.plural}.yaml`, textOf(kind, version)]),
  );
}

function textOf(kind: KindDefinition, version: string): string {
  const definition = manifestOf(kind) as { metadata: object; spec: Definition['spec'] };
  const metadata = { ...definition.metadata, annotations: { [versionAnnotation]: version } };
  const released = withoutProse({ ...definition, metadata });
  return (
    '# As it was released. Written by `npm run generate -- --record`; do not edit.\n' +
    stringify(released, { lineWidth: 0, aliasDuplicateObjects: false, version: '1.1' })
  );
}

/** Descriptions and columns may change at will. A field may be called `description`: then it is an object. */
function withoutProse(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutProse);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, child]) => !(key === 'description' && typeof child === 'string'))
      .filter(([key]) => key !== 'additionalPrinterColumns')
      .map(([key, child]) => [key, withoutProse(child)]),
  );
}

/** What is on record, by the plural of its kind. */
export async function readRecord(): Promise<ReadonlyMap<string, Released>> {
  const folder = new URL(`../../../${recordFolder}/`, import.meta.url);
  const record = new Map<string, Released>();
  for (const name of (await readdir(folder)).sort())
    record.set(
      name.replace(/\.yaml$/, ''),
      parse(await readFile(new URL(name, folder), 'utf8'), { version: '1.1' }) as Released,
    );
  return record;
}
