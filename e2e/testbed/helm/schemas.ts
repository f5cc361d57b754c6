/**
 * Checks objects against the schemas that Kubernetes publishes for a minor version, and against the CRDs of
 * others that charts make objects of. All come as Go modules, whose checksums the Go command verifies.
 *
 * Strict: a field that the schema does not have is a mistake, as is a kind that nobody has a schema for.
 */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { parse } from 'yaml';

export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly allOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-group-version-kind'?: readonly GroupVersionKind[];
  readonly format?: string;
  readonly oneOf?: readonly Schema[];
}

interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface Manifested {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

export interface SchemaSet {
  /** What is wrong with the object, each with the path of the field. */
  check(object: Manifested): readonly string[];
}

/** Downloads a Go module, or finds it in Go's cache. @returns its folder. */
export async function moduleFolder(nameAndVersion: string): Promise<string> {
  const { stdout } = await runCommand('go', ['mod', 'download', '-json', nameAndVersion], {
    timeoutMs: 300_000,
    allow: [1],
    env: { GOFLAGS: '-mod=mod' },
  });
  const { Dir, Error } = JSON.parse(stdout) as { Dir?: string; Error?: string };
  if (Dir === undefined)
    throw new TerminalError('DownloadFailed', `${nameAndVersion}: ${Error ?? 'no folder'}`);
  return Dir;
}

interface Found {
  readonly schema: Schema;
  /** What references in it are resolved in. */
  readonly all: Readonly<Record<string, Schema>>;
}

/** Schemas of one version of Kubernetes (folder of the module k8s.io/kubernetes), and of CRDs in files. */
export function schemasOf(kubernetes: string, crdFiles: readonly string[]): SchemaSet {
  const published = join(kubernetes, 'api/openapi-spec/v3');
  const ofCrds = new Map(crdFiles.flatMap((file) => crdSchemas(file)));
  const ofVersions = new Map<string, Map<string, Found>>();
  const find = ({ apiVersion, kind }: Manifested): Found | undefined => {
    let known = ofVersions.get(apiVersion);
    if (!known) ofVersions.set(apiVersion, (known = publishedSchemas(published, apiVersion)));
    return known.get(kind) ?? ofCrds.get(`${apiVersion}/${kind}`);
  };
  return {
    check(object) {
      const found = find(object);
      if (!found) return [`no schema of ${object.apiVersion} ${object.kind}`];
      return [...mistakesIn(object, found.schema, '', found.all)];
    },
  };
}

function publishedSchemas(folder: string, apiVersion: string): Map<string, Found> {
  const path = apiVersion.includes('/')
    ? `apis__${apiVersion.replace('/', '__')}`
    : `api__${apiVersion}`;
  const [file] = globSync(`${path}_openapi.json`, { cwd: folder });
  if (file === undefined) return new Map();
  const text = readFileSync(join(folder, file), 'utf8');
  const { schemas } = (JSON.parse(text) as { components: { schemas: Record<string, Schema> } })
    .components;
  const known = new Map<string, Found>();
  for (const schema of Object.values(schemas))
    for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? [])
      if ((group === '' ? version : `${group}/${version}`) === apiVersion)
        known.set(kind, { schema, all: schemas });
  return known;
}

function crdSchemas(file: string): [string, Found][] {
  const crd = parse(readFileSync(file, 'utf8')) as {
    spec: {
      group: string;
      names: { kind: string };
      versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
    };
  };
  const { group, names, versions } = crd.spec;
  return versions.map(({ name, schema }) => [
    `${group}/${name}/${names.kind}`,
    { schema: withMetadata(schema.openAPIV3Schema), all: {} },
  ]);
}

/** A CRD says nothing of metadata, which the API server checks by itself. */
const withMetadata = (schema: Schema): Schema => ({
  ...schema,
  properties: {
    ...schema.properties,
    metadata: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
});

type All = Found['all'];

function resolve(schema: Schema, all: All): Schema {
  let merged = schema;
  for (const part of [...(schema.allOf ?? []), ...(schema.$ref ? [schema] : [])]) {
    if (part.$ref === undefined) continue;
    const target = all[part.$ref.split('/').at(-1) ?? ''];
    if (target) merged = { ...merged, ...resolve(target, all) };
  }
  return merged;
}

function* mistakesIn(
  value: unknown,
  unresolved: Schema,
  path: string,
  all: All,
): Generator<string> {
  const schema = resolve(unresolved, all);
  const isFree = schema['x-kubernetes-preserve-unknown-fields'] ?? false;
  const kinds = typesOf(schema);
  const actual = typeOf(value);
  if (kinds.length > 0 && !kinds.includes(actual)) {
    yield `${path || 'object'}: ${actual}, not ${kinds.join(' or ')}`;
    return;
  }
  if (schema.enum && !schema.enum.includes(value))
    yield `${path}: ${String(value)} is none of ${schema.enum.join(', ')}`;
  if (schema.pattern && typeof value === 'string' && !new RegExp(schema.pattern).test(value))
    yield `${path}: ${value} does not match ${schema.pattern}`;
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries())
      yield* mistakesIn(item, schema.items ?? {}, `${path}[${index}]`, all);
    return;
  }
  if (actual !== 'object') return;
  const object = value as Readonly<Record<string, unknown>>;
  for (const name of schema.required ?? [])
    if (!(name in object)) yield `${path}.${name}: is missing`;
  const { properties, additionalProperties } = schema;
  for (const [name, field] of Object.entries(object)) {
    const known =
      properties?.[name] ?? (typeof additionalProperties === 'object' && additionalProperties);
    if (known) yield* mistakesIn(field, known, `${path}.${name}`, all);
    else if (properties && !isFree && additionalProperties !== true)
      yield `${path}.${name}: no such field`;
  }
}

/** Types that a value may have; none for any. */
function typesOf(schema: Schema): readonly string[] {
  const isEither = schema['x-kubernetes-int-or-string'] ?? schema.format === 'int-or-string';
  if (isEither) return ['integer', 'number', 'string'];
  if (schema.oneOf) return schema.oneOf.flatMap((one) => typesOf(one));
  return schema.type === undefined
    ? []
    : schema.type === 'number'
      ? ['number', 'integer']
      : [schema.type];
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}
