/**
 * Lowers a zod schema to the structural OpenAPI schema that a CustomResourceDefinition takes.
 *
 * Guarantees: the result holds only what apiextensions.k8s.io/v1 allows; every string and list is bounded
 * (CEL's cost estimate needs it); every field has a description; what cannot be said structurally (unions,
 * unknowns, records, references) is refused with its path instead of being dropped in silence.
 */
import { z } from 'zod';

export interface StructuralSchema {
  readonly type: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly items?: StructuralSchema;
  readonly required?: readonly string[];
  readonly [key: string]: unknown;
}

type Json = Readonly<Record<string, unknown>>;

/** Formats that apiextensions knows and that stand in for zod's long patterns. */
const formats: ReadonlySet<string> = new Set(['date-time', 'uuid', 'ipv4', 'ipv6', 'byte']);

const copied = [
  'description',
  'pattern',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minimum',
  'maximum',
  'default',
  'enum',
] as const;

/** @throws Error naming the path of what cannot be lowered. */
export function lower(schema: z.ZodType, path = 'spec'): StructuralSchema {
  const json = z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' });
  return lowerNode(json, path, false);
}

function lowerNode(node: Json, path: string, isField: boolean): StructuralSchema {
  refuse(node, path);
  const type = node['type'] as string | undefined;
  if (!type) throw new Error(`${path}: a schema without a type is not structural`);
  if (isField && !node['description']) throw new Error(`${path}: a field without a description`);
  const out: Record<string, unknown> = { type };
  for (const key of copied) if (node[key] !== undefined) out[key] = node[key];
  for (const key of Object.keys(node)) if (key.startsWith('x-kubernetes-')) out[key] = node[key];
  switch (type) {
    case 'object':
      lowerObject(node, out, path);
      break;
    case 'array':
      if (node['maxItems'] === undefined) throw new Error(`${path}: a list without maxItems`);
      out['items'] = lowerNode(node['items'] as Json, `${path}[]`, false);
      break;
    case 'string':
      lowerString(node, out, path);
      break;
    case 'integer':
      lowerInteger(out);
      break;
    default:
      break;
  }
  return out as StructuralSchema;
}

function refuse(node: Json, path: string): void {
  for (const key of ['oneOf', 'anyOf', 'allOf', 'not', '$ref', 'const', 'patternProperties'])
    if (node[key] !== undefined) throw new Error(`${path}: ${key} is not structural`);
}

function lowerObject(node: Json, out: Record<string, unknown>, path: string): void {
  const properties = node['properties'] as Readonly<Record<string, Json>> | undefined;
  if (!properties) throw new Error(`${path}: a map or an unknown object; name its fields`);
  out['properties'] = Object.fromEntries(
    Object.entries(properties).map(([name, child]) => [
      name,
      lowerNode(child, `${path}.${name}`, true),
    ]),
  );
  if (node['required']) out['required'] = node['required'];
}

function lowerString(node: Json, out: Record<string, unknown>, path: string): void {
  const format = node['format'] as string | undefined;
  if (format !== undefined && formats.has(format)) {
    out['format'] = format;
    delete out['pattern']; // the API server checks the format; zod's pattern for it is hundreds of characters
    out['maxLength'] ??= 64;
    return;
  }
  if (node['maxLength'] === undefined && node['enum'] === undefined)
    throw new Error(`${path}: a string without maxLength`);
}

function lowerInteger(out: Record<string, unknown>): void {
  out['format'] = 'int64';
  if (out['maximum'] === Number.MAX_SAFE_INTEGER) delete out['maximum'];
  if (out['minimum'] === Number.MIN_SAFE_INTEGER) delete out['minimum'];
}
