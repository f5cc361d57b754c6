/**
 * The values of a chart, declared once: `values.yaml` with its comments, `values.schema.json` and the table of
 * the README are made of it, so none of them can say what the others do not.
 */
import { stringify } from 'yaml';

type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };
type Schema = Readonly<Record<string, unknown>>;

export interface Field {
  readonly kind: 'field';
  readonly description: string;
  readonly value: Json;
  readonly schema: Schema;
}

export interface Section {
  readonly kind: 'section';
  readonly description: string;
  readonly fields: Readonly<Record<string, Field | Section>>;
}

const field = (description: string, value: Json, schema: Schema): Field => ({
  ...{ kind: 'field', description, value, schema },
});

export const section = (description: string, fields: Section['fields']): Section => ({
  ...{ kind: 'section', description, fields },
});

export const text = (description: string, value = '', schema: Schema = {}): Field =>
  field(description, value, { type: 'string', ...schema });

export const choice = (description: string, options: readonly [string, ...string[]]): Field =>
  field(description, options[0], { type: 'string', enum: options });

export const flag = (description: string, value = false): Field =>
  field(description, value, { type: 'boolean' });

export const count = (description: string, value: number, minimum = 1, maximum = 65_535): Field =>
  field(description, value, { type: 'integer', minimum, maximum });

export const texts = (description: string, value: readonly string[] = []): Field =>
  field(description, value, { type: 'array', items: { type: 'string' } });

/** Strings by name, such as labels. */
export const map = (description: string, value: Readonly<Record<string, string>> = {}): Field =>
  field(description, value, { type: 'object', additionalProperties: { type: 'string' } });

/** An object whose shape is Kubernetes' own. */
export const object = (description: string, value: { readonly [key: string]: Json } = {}): Field =>
  field(description, value, { type: 'object' });

/** A list of objects whose shape is Kubernetes' own. */
export const objects = (description: string, value: readonly Json[] = []): Field =>
  field(description, value, { type: 'array', items: { type: 'object' } });

export function valuesYaml(root: Section): string {
  return `# ${root.description}\n${yamlOf(root, '')}`;
}

function yamlOf({ fields }: Section, indent: string): string {
  return Object.entries(fields)
    .map(([name, entry]) => {
      const comment = wrap(entry.description, 100 - indent.length).map((l) => `${indent}# ${l}\n`);
      if (entry.kind === 'section')
        return `${comment.join('')}${indent}${name}:\n${yamlOf(entry, `${indent}  `)}`;
      const value = stringify({ [name]: entry.value }, { lineWidth: 0 }).trimEnd();
      const lines = value.split('\n').map((line) => `${indent}${line}\n`);
      return comment.join('') + lines.join('');
    })
    .join('');
}

function wrap(description: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of description.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length + 1 <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

export function valuesSchema(root: Section): string {
  const schema = { $schema: 'http://json-schema.org/draft-07/schema#', ...schemaOf(root) };
  return JSON.stringify(schema, undefined, 2) + '\n';
}

function schemaOf(entry: Section | Field): Schema {
  const { description } = entry;
  if (entry.kind === 'field') return { ...entry.schema, description };
  const properties = Object.fromEntries(
    Object.entries(entry.fields).map(([name, each]) => [name, schemaOf(each)]),
  );
  // Helm adds `global` to the values of every chart.
  const more = entry.fields['image'] ? { global: { type: 'object' } } : {};
  return {
    ...{ type: 'object', description, additionalProperties: false },
    properties: { ...properties, ...more },
  };
}

/** Rows of a Markdown table: path, default, description. */
export function valuesTable(root: Section): string {
  const rows = rowsOf(root, '').map(
    ([path, value, description]) => `| \`${path}\` | \`${value}\` | ${description} |`,
  );
  return ['| value | default | what it is |', '| --- | --- | --- |', ...rows].join('\n');
}

function rowsOf({ fields }: Section, prefix: string): (readonly [string, string, string])[] {
  return Object.entries(fields).flatMap(([name, entry]) =>
    entry.kind === 'section'
      ? rowsOf(entry, `${prefix}${name}.`)
      : [[`${prefix}${name}`, JSON.stringify(entry.value), entry.description] as const],
  );
}
