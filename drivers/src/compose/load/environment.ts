/**
 * Reads `environment` and `env_file`: files first, then the service's own; what is named without a value, or
 * with an empty one, takes the App's variable of that name.
 */
import type { Field, Members } from '../field.ts';
import type { Variables } from '../interpolate.ts';
import { pairs } from './values.ts';

/** A file of the App by the path that the compose file names; undefined when the App has none. */
export type FileLookup = (path: string) => Uint8Array | undefined;

export function readEnvironment(
  service: Members,
  files: FileLookup,
): ReadonlyMap<string, string | null> {
  const result = new Map<string, string | null>();
  const field = service.get('env_file');
  const { variables } = service.field.context;
  const entries = field ? (field.isList ? field.items() : [field]) : [];
  for (const entry of entries)
    for (const [name, value] of envFile(entry, files, variables))
      result.set(name, chosen(name, value, variables));
  for (const [name, value] of pairs(service.get('environment')?.forSecrets()))
    result.set(name, chosen(name, value, variables));
  return result;
}

function chosen(name: string, value: string | null, variables: Variables): string | null {
  return value === null || value === '' ? (variables.lookup(name) ?? value) : value;
}

function envFile(
  field: Field,
  files: FileLookup,
  variables: Variables,
): readonly (readonly [string, string])[] {
  const { path, required, field: pathField } = fileName(field);
  if (path === undefined) return [];
  const content = files(path);
  if (content) return parseEnvFile(content, pathField, variables);
  if (required) pathField.wrong('names a file that the App does not have; add it to `spec.files`');
  else pathField.warn('names a file that the App does not have');
  return [];
}

function fileName(field: Field): { path: string | undefined; required: boolean; field: Field } {
  if (!field.isMap) return { path: field.text(), required: true, field };
  const members = field.members({ known: ['path', 'required', 'format'] });
  const path = members?.text('path');
  if (members && path === undefined) field.wrong('needs `path`');
  if (members?.has('format')) field.warn('`format` is ignored: lines are NAME=value');
  return { path, required: members?.boolean('required') ?? true, field };
}

function parseEnvFile(
  content: Uint8Array,
  field: Field,
  variables: Variables,
): readonly (readonly [string, string])[] {
  const text = decode(content);
  if (text === undefined) return field.wrong('names a file that is not UTF-8 text') ?? [];
  const result: (readonly [string, string])[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trimStart();
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const at = trimmed.indexOf('=');
    const name = at < 0 ? trimmed : trimmed.slice(0, at);
    if (name === '' || /[ \t]/.test(name)) {
      field.wrong(`line ${index + 1} of the file is not NAME=value`);
      continue;
    }
    const value = at < 0 ? variables.lookup(name) : trimmed.slice(at + 1);
    if (value !== undefined) result.push([name, value]);
  }
  return result;
}

function decode(content: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    return undefined; // The caller names the file; a decoder's error says nothing more.
  }
}
