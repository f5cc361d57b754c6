/**
 * Names of what a stack makes, and the labels that mark it, as `docker stack` makes and looks for them.
 *
 * Configs and secrets never change once they exist, so ours carry a hash of their content in the name: new
 * content is a new object, and an update of the service moves over to it.
 */
import { contentHash, keyedHash } from '@cloudlet/runtime/base';
import type { Strings } from '../engine.ts';
import type { Findings } from '../findings.ts';
import type { ComposeFileObject } from '../model.ts';

export const stackLabels = {
  namespace: 'com.docker.stack.namespace',
  image: 'com.docker.stack.image',
} as const;

/** The engine's own bounds. */
export const nameLimits = {
  service: 63,
  fileObject: 64,
  configBytes: 1_000_000,
  secretBytes: 512_000,
};

/** All, none, or those of whose names with a hash it says so. */
export type CliNames = boolean | ((hashed: string) => boolean);

export interface Naming {
  readonly stack: string;
  /** Configs and secrets that are called as the command-line tool calls them, without a hash. */
  readonly cliNames: CliNames;
  /** Key of the hashes in names of secrets, so that nobody can test a guess. */
  readonly nameKey: string;
}

export function scoped(stack: string, name: string): string {
  return `${stack}_${name}`;
}

export function withStackLabel(stack: string, labels: Strings): Strings {
  return { ...labels, [stackLabels.namespace]: stack };
}

/** The name of a config or secret at the engine. */
export function fileObjectName(
  kind: 'config' | 'secret',
  key: string,
  object: ComposeFileObject,
  naming: Naming,
): string {
  const plain = object.name || (object.external ? key : scoped(naming.stack, key));
  if (object.external || naming.cliNames === true) return plain;
  const identity = [
    plain,
    Buffer.from(object.content ?? new Uint8Array()).toString('base64'),
    object.labels,
    [object.driver, object.driverOpts, object.templateDriver],
  ];
  const hash =
    kind === 'secret' ? keyedHash(naming.nameKey, identity, 10) : contentHash(identity, 10);
  const hashed = `${plain}-${hash}`;
  return naming.cliNames && naming.cliNames(hashed) ? plain : hashed;
}

export function checkNameLength(findings: Findings, path: string, name: string, max: number): void {
  if (name.length > max)
    findings.mistake(
      path,
      `its name at the engine has ${name.length} characters, ${max} are allowed`,
    );
}
