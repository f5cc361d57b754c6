/** The API reference page, from the same schemas as the CRDs. */
import { groupVersion, type CelRule, type KindDefinition } from '../schema.ts';
import { lower, type StructuralSchema } from './lower.ts';

export function referenceOf(kinds: readonly KindDefinition[]): string {
  const parts = [
    '# API reference',
    '',
    `Group and version: \`${groupVersion}\`. Generated from the schemas in \`crds/src\` by \`npm run generate\`; \`kubectl explain\` says the same.`,
    '',
    '| kind | scope | short names | what it is |',
    '|---|---|---|---|',
    ...kinds.map(
      (kind) =>
        `| [${kind.kind}](#${kind.kind.toLowerCase()}) | ${kind.scope} | ${kind.shortNames.map((name) => `\`${name}\``).join(', ')} | ${kind.description} |`,
    ),
    ...kinds.flatMap(sectionOf),
  ];
  return parts.join('\n') + '\n';
}

function sectionOf(kind: KindDefinition): string[] {
  const rules = kind.rules ?? [];
  return [
    '',
    `## ${kind.kind}`,
    '',
    kind.description,
    ...(rules.length > 0 ? ['', ...rules.map((rule) => `- ${rule.message}`)] : []),
    ...tableOf('spec', lower(kind.spec, 'spec')),
    ...(kind.status ? tableOf('status', lower(kind.status, 'status')) : []),
  ];
}

function tableOf(name: string, schema: StructuralSchema): string[] {
  return [
    '',
    `### ${name}`,
    '',
    '| field | type | |',
    '|---|---|---|',
    ...rulesOf(name, schema),
    ...rowsOf(name, schema),
  ];
}

function rowsOf(path: string, schema: StructuralSchema): string[] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const here = `${path}.${name}${field.items ? '[]' : ''}`;
    const inner = field.items ?? field;
    return [
      `| \`${here}\`${required.has(name) ? ' \\*' : ''} | ${typeOf(field)} | ${cell(field.description ?? '')} |`,
      ...rulesOf(here, field),
      ...(field.items ? rulesOf(here, field.items) : []),
      ...rowsOf(here, inner),
    ];
  });
}

function rulesOf(path: string, schema: StructuralSchema): string[] {
  const rules = (schema['x-kubernetes-validations'] ?? []) as readonly CelRule[];
  return rules.map((rule) => `| \`${path}\` | rule | ${cell(rule.message)} |`);
}

function typeOf(schema: StructuralSchema): string {
  if (schema.items) return `list of ${typeOf(schema.items)}, at most ${String(schema['maxItems'])}`;
  const values = schema['enum'] as readonly string[] | undefined;
  if (values) return values.map((value) => `\`${value}\``).join(', ');
  const { minimum, maximum, maxLength } = schema as {
    minimum?: number;
    maximum?: number;
    maxLength?: number;
  };
  if (schema.type === 'string')
    return (schema['format'] as string | undefined) ?? `string, at most ${maxLength}`;
  if (minimum !== undefined && maximum !== undefined)
    return `${schema.type}, ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `${schema.type}, from ${minimum}`;
  return schema.type;
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
