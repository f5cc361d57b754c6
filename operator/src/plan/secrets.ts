/**
 * Copies of tenants' secrets: exactly the keys that a placed instance refers to, in one Secret in the
 * namespace of copies, named by a keyed hash of its content and immutable.
 *
 * Guarantees: what is not referred to is not copied; the name tells nothing to who lacks the key; the same
 * content for the same namespace has the same name, so a copy is made once and instances share it.
 */
import { createHash } from 'node:crypto';
import { type AppSpec, labels, namespaces } from '@cloudlet/crds';
import { keyedHash, TerminalError } from '@cloudlet/runtime/base';
import type { SecretObject } from '../kinds.ts';

export interface SecretReference {
  readonly secret: string;
  readonly key: string;
  /** Field of the App that refers to it. */
  readonly path: string;
  /** Key in the copy. */
  readonly target: string;
}

export const envTarget = (name: string): string => `env.${name}`;
export const fileTarget = (path: string): string =>
  `file.${createHash('sha256').update(path).digest('hex').slice(0, 32)}`;
/** Key of the hashes that a site names copies of secrets by; the same for all members of the site. */
export const nameKeyTarget = 'name-key';
/** JSON of registry host to base64 of `user:password`. */
export const registryTarget = 'registry.json';

const dockerConfigKey = '.dockerconfigjson';

/** Every key of every Secret that an App refers to. */
export function secretReferences(spec: AppSpec): readonly SecretReference[] {
  const references: SecretReference[] = [];
  for (const { name, secretKeyRef: ref } of spec.env ?? [])
    if (ref)
      references.push({
        secret: ref.name,
        key: ref.key,
        path: `spec.env[${name}].secretKeyRef`,
        target: envTarget(name),
      });
  for (const { path, secretKeyRef: ref } of spec.files ?? [])
    if (ref)
      references.push({
        secret: ref.name,
        key: ref.key,
        path: `spec.files[${path}].secretKeyRef`,
        target: fileTarget(path),
      });
  if (spec.imagePullSecretRef)
    references.push({
      secret: spec.imagePullSecretRef.name,
      key: dockerConfigKey,
      path: 'spec.imagePullSecretRef',
      target: registryTarget,
    });
  return references;
}

/**
 * The data of the copy, base64 as in a Secret; undefined where the App refers to none.
 * @throws TerminalError (`SecretNotFound`) naming field, Secret and key, never a value.
 */
export function copiedData(
  spec: AppSpec,
  secrets: ReadonlyMap<string, SecretObject>,
): Readonly<Record<string, string>> | undefined {
  const references = secretReferences(spec);
  if (references.length === 0) return undefined;
  return Object.fromEntries(
    references.map((reference) => [reference.target, copiedValue(reference, secrets)]),
  );
}

function copiedValue(
  { secret: name, key, path, target }: SecretReference,
  secrets: ReadonlyMap<string, SecretObject>,
): string {
  const secret = secrets.get(name);
  if (!secret) throw new TerminalError('SecretNotFound', `${path}: there is no Secret '${name}'`);
  const value = secret.data?.[key];
  if (value === undefined)
    throw new TerminalError('SecretNotFound', `${path}: Secret '${name}' has no key '${key}'`);
  return target === registryTarget ? encode(JSON.stringify(registryAuth(value, name))) : value;
}

/** The credentials of a Secret of type kubernetes.io/dockerconfigjson, by registry host. */
function registryAuth(base64: string, name: string): Readonly<Record<string, string>> {
  const config = parseDockerConfig(base64, name);
  return Object.fromEntries(
    Object.entries(config.auths ?? {}).flatMap(([server, entry]) => {
      const auth =
        entry.auth ??
        (entry.username === undefined
          ? undefined
          : encode(`${entry.username}:${entry.password ?? ''}`));
      return auth === undefined ? [] : [[registryHost(server), auth]];
    }),
  );
}

interface DockerConfig {
  readonly auths?: Readonly<
    Record<
      string,
      { readonly auth?: string; readonly username?: string; readonly password?: string }
    >
  >;
}

function parseDockerConfig(base64: string, name: string): DockerConfig {
  try {
    return JSON.parse(decode(base64)) as DockerConfig;
  } catch {
    // The parser's message would quote the secret.
    throw new TerminalError(
      'SecretNotFound',
      `spec.imagePullSecretRef: Secret '${name}' holds no JSON under ${dockerConfigKey}`,
    );
  }
}

/** `https://registry.example/v1/` and `registry.example` are one registry. */
const registryHost = (server: string): string =>
  server.replace(/^https?:\/\//, '').replace(/\/.*$/, '');

/** The copy as an object. `hashKey` is the region's own. */
export function secretCopy(
  hashKey: string,
  namespace: string,
  data: Readonly<Record<string, string>>,
): SecretObject & { readonly metadata: { readonly name: string; readonly namespace: string } } {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: `copy-${keyedHash(hashKey, { namespace, data }, 40)}`,
      namespace: namespaces.secrets,
      labels: { [labels.managedBy]: 'cloudlet-operator', [labels.organization]: namespace },
    },
    type: 'Opaque',
    immutable: true,
    data: { ...data, [nameKeyTarget]: encode(keyedHash(hashKey, { names: namespace })) },
  };
}

const encode = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
export const decode = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8');
