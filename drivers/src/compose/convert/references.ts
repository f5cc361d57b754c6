/** Configs and secrets that a service mounts, by the names that they have at the engine. */
import type { ConfigReference, ContainerSpec, FileTarget, SecretReference } from '../engine.ts';
import type { Findings } from '../findings.ts';
import type { ComposeFileObject, ComposeFileReference, ComposeService } from '../model.ts';
import { fileObjectName, type Naming } from './names.ts';

export interface ReferenceContext extends Naming {
  readonly configs: ReadonlyMap<string, ComposeFileObject>;
  readonly secrets: ReadonlyMap<string, ComposeFileObject>;
  readonly findings: Findings;
}

export interface References {
  readonly configs: readonly ConfigReference[];
  readonly secrets: readonly SecretReference[];
  readonly credentialSpec: NonNullable<ContainerSpec['Privileges']>['CredentialSpec'];
}

export function convertReferences(service: ComposeService, context: ReferenceContext): References {
  const configs = byName(resolve('config', service.configs, context)).map(({ name, file }) => ({
    File: file,
    ConfigName: name,
  }));
  const secrets = byName(resolve('secret', service.secrets, context)).map(({ name, file }) => ({
    File: file,
    SecretName: name,
  }));
  const spec = service.credentialSpec;
  if (!spec) return { configs, secrets, credentialSpec: null };
  if (spec.kind !== 'Config')
    return { configs, secrets, credentialSpec: { ...emptySpec, [spec.kind]: spec.value } };
  const path = `${service.path}.credential_spec.config`;
  const name = nameOf('config', spec.value, path, context);
  if (name === undefined) return { configs, secrets, credentialSpec: null };
  const runtime: ConfigReference = { Runtime: {}, ConfigName: name };
  return {
    configs: byName(
      [...configs, runtime].map((config) => ({ config, name: config.ConfigName })),
    ).map(({ config }) => config),
    secrets,
    credentialSpec: { ...emptySpec, Config: name },
  };
}

function resolve(
  kind: 'config' | 'secret',
  references: readonly ComposeFileReference[],
  context: ReferenceContext,
): readonly { name: string; file: FileTarget }[] {
  const targets = new Set<string>();
  return references.flatMap(({ path, source, target, uid, gid, mode }) => {
    const name = nameOf(kind, source, path, context);
    if (name === undefined) return [];
    if (targets.has(target))
      context.findings.mistake(path, 'is mounted where another one already is; give it a `target`');
    targets.add(target);
    return [{ name, file: { Name: target, UID: uid, GID: gid, Mode: mode } }];
  });
}

function nameOf(
  kind: 'config' | 'secret',
  key: string,
  path: string,
  context: ReferenceContext,
): string | undefined {
  const object = (kind === 'config' ? context.configs : context.secrets).get(key);
  if (object) return fileObjectName(kind, key, object, context);
  context.findings.mistake(
    path,
    `names a ${kind} that the file does not define; add it under the top-level \`${kind}s\``,
  );
  return undefined;
}

const emptySpec = { Config: '', File: '', Registry: '' };

/** In the order of names and targets, so that another order in the file restarts nothing. */
function byName<T extends { readonly name: string; readonly file?: FileTarget }>(
  items: readonly T[],
): readonly T[] {
  const key = ({ name, file }: T) => `${name}\0${file?.Name ?? ''}`;
  return [...items].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}
