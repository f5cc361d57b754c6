/**
 * An App and an AppInst for a compose file, for people who move to Cloudlet Operator. Pure.
 *
 * Guarantees: what is returned fits the schemas of the kinds; nothing that looks secret is written into the
 * App, a Secret is named instead; whatever a person has to look at is in `notes`, with the path of its key.
 */
import { type AppInstSpec, type AppSpec, groupVersion } from '@cloudlet/crds';
import { appPorts } from './app-ports.ts';
import { type ComposeInput, planStack, readCompose } from './convert-compose.ts';
import { Findings } from './findings.ts';
import { joinPath } from './load/mounts.ts';
import type { ComposeStack } from './model.ts';

export interface FromComposeOptions {
  /** Name of the App and the AppInst. */
  readonly name: string;
  readonly namespace?: string;
  /** @default "1" */
  readonly version?: string;
  /** Where it shall run: a zone or a cloudlet. Without either a zone's name is left to fill in. */
  readonly zone?: string;
  readonly cloudlet?: string;
  /** What filled `${NAME}` until now; what the file uses of it becomes the App's env. */
  readonly env?: Readonly<Record<string, string>>;
  /** Files that the compose file names, by path; `composeFiles` says which. */
  readonly files?: ReadonlyMap<string, Uint8Array>;
}

export interface Manifest<S> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec: S;
}

export interface FromCompose {
  readonly app: Manifest<AppSpec>;
  readonly appInst: Manifest<AppInstSpec>;
  readonly notes: readonly string[];
}

/** Paths of the files that a compose file names, for a caller that has to read them. */
export function composeFiles(
  text: string,
  env: Readonly<Record<string, string>> = {},
): readonly string[] {
  const paths = new Set<string>();
  readCompose({ text, stack: 'files', env }, new Findings(), { onFile: (path) => paths.add(path) });
  return [...paths];
}

/** @throws ComposeError when the file cannot be run. */
export function appFromCompose(text: string, options: FromComposeOptions): FromCompose {
  const findings = new Findings();
  const variables = new Set<string>();
  const files = new Set<string>();
  const input: ComposeInput = {
    text,
    stack: options.name,
    env: options.env ?? {},
    files: options.files ?? new Map<string, Uint8Array>(),
  };
  const compose = readCompose(input, findings, {
    onVariable: (name) => variables.add(name),
    onFile: (path) => files.add(path),
  });
  const notes = [...planStack(compose, input, findings).warnings];
  const { name, namespace } = options;
  const head = {
    apiVersion: groupVersion,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  };
  const env = envEntries([...variables].sort(), options, notes);
  const fileList = fileEntries([...files].sort(), compose, options, notes);
  const ports = appPorts(compose.services, notes);
  const spec: AppSpec = {
    version: options.version ?? '1',
    deployment: 'Docker',
    compose: text,
    ...(env.length > 0 ? { env } : {}),
    ...(fileList.length > 0 ? { files: fileList } : {}),
    ...(ports.length > 0 ? { ports } : {}),
  };
  return {
    app: { ...head, kind: 'App', spec },
    appInst: { ...head, kind: 'AppInst', spec: { appRef: { name }, ...target(options, notes) } },
    notes,
  };
}

type EnvEntry = NonNullable<AppSpec['env']>[number];

function envEntries(
  variables: readonly string[],
  options: FromComposeOptions,
  notes: string[],
): EnvEntry[] {
  return variables.flatMap((name): EnvEntry[] => {
    const value = options.env?.[name];
    if (value === undefined) return [];
    if (!/pass|secret|token|key|credential/i.test(name)) return [{ name, value }];
    const secret = `${options.name}-env`;
    notes.push(
      `App spec.env ${name}: looks secret, so it is taken from key ${name} of the Secret ${secret}, which you have to create`,
    );
    return [{ name, secretKeyRef: { name: secret, key: name } }];
  });
}

type FileEntry = NonNullable<AppSpec['files']>[number];

function fileEntries(
  paths: readonly string[],
  compose: ComposeStack,
  options: FromComposeOptions,
  notes: string[],
): FileEntry[] {
  const content = new Map(
    [...(options.files ?? [])].map(([path, bytes]) => [joinPath('', path), bytes]),
  );
  const secrets = new Set([...compose.secrets.values()].map(({ file }) => joinPath('', file)));
  return paths.flatMap((path): FileEntry[] => {
    const bytes = content.get(joinPath('', path));
    if (!bytes) return [];
    if (!/^[-._/a-zA-Z0-9]{1,255}$/.test(path)) {
      notes.push(
        `App spec.files: ${JSON.stringify(path)} is left out; rename it to letters, digits, \`.\`, \`_\`, \`-\` and \`/\``,
      );
      return [];
    }
    const inline = secrets.has(joinPath('', path)) ? undefined : asText(bytes);
    if (inline !== undefined) return [{ path, content: inline }];
    const ref = {
      name: `${options.name}-files`,
      key: path.replace(/^\.\//, '').replaceAll('/', '.'),
    };
    notes.push(
      `App spec.files ${path}: is taken from key ${ref.key} of the Secret ${ref.name}, which you have to create`,
    );
    return [{ path, secretKeyRef: ref }];
  });
}

/** Text that an App may hold; undefined for what is too long or is no text. */
function asText(bytes: Uint8Array): string | undefined {
  if (bytes.length > 65_536) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined; // Bytes that are no text go into a Secret, which holds any.
  }
}

function target(
  options: FromComposeOptions,
  notes: string[],
): Pick<AppInstSpec, 'cloudletRef' | 'zoneRef'> {
  if (options.cloudlet !== undefined) return { cloudletRef: { name: options.cloudlet } };
  if (options.zone === undefined) notes.push('AppInst spec.zoneRef.name: name the zone to run in');
  return { zoneRef: { name: options.zone ?? 'name-a-zone' } };
}
