/**
 * What the helpers' service is made of on the swarm: authorities as configs, key and certificate as a secret.
 *
 * Guarantees: helpers let in whom an authority certified whose node manages the swarm, the younger one of two
 * of a node; a key is in a secret alone. Names hold a hash of the content, so nothing is ever changed.
 */
import { apiGroup } from '@cloudlet/crds';
import { contentHash, ConflictError } from '@cloudlet/runtime/base';
import type { Engine } from '../engine.ts';
import type { FileObject, SwarmNode } from '../engine-types.ts';
import type { SiteAuthority } from './site-authority.ts';

/** On what is the product's own and no instance's. */
export const partLabel = `${apiGroup}/part`;
/** On an authority: id of the swarm's node that it is of. */
const nodeLabel = `${apiGroup}/node`;
/** On a certificate: name of its authority's config, and from when on it is to be replaced. */
const issuerLabel = `${apiGroup}/issuer`;
const renewLabel = `${apiGroup}/renew`;

export interface Authority {
  readonly id: string;
  readonly name: string;
  readonly node: string;
  readonly index: number;
  readonly pem: string;
}

export interface Certificate {
  readonly id: string;
  readonly name: string;
  readonly issuer: string;
  /** Milliseconds since the epoch. */
  readonly renewAt: number;
  readonly index: number;
}

const byPart = (part: string): Record<string, readonly string[]> => ({
  label: [`${partLabel}=${part}`],
});

export async function listAuthorities(
  engine: Engine,
  signal: AbortSignal,
): Promise<readonly Authority[]> {
  return (await engine.configs(byPart('authority'), signal)).map(authorityOf);
}

function authorityOf({ ID, Version, Spec }: FileObject): Authority {
  return {
    id: ID,
    name: Spec.Name,
    node: Spec.Labels?.[nodeLabel] ?? '',
    index: Version.Index,
    pem: Buffer.from(Spec.Data ?? '', 'base64').toString(),
  };
}

/** The authorities of the managers, the youngest of each, by name. Pure. */
export function trusted(
  authorities: readonly Authority[],
  nodes: readonly Pick<SwarmNode, 'ID' | 'ManagerStatus'>[],
): readonly Authority[] {
  const managers = new Set(nodes.filter((node) => node.ManagerStatus).map(({ ID }) => ID));
  const youngest = new Map<string, Authority>();
  for (const authority of [...authorities].sort((a, b) => a.index - b.index))
    if (managers.has(authority.node)) youngest.set(authority.node, authority);
  return [...youngest.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Makes this manager's authority known to the others. @returns its name. */
export async function publishAuthority(
  engine: Engine,
  own: { readonly pem: string; readonly node: string },
  present: readonly Authority[],
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly isNew: boolean }> {
  const name = `cloudlet-authority-${contentHash([own.pem, own.node], 12)}`;
  if (present.some((authority) => authority.name === name)) return { name, isNew: false };
  const Labels = { [partLabel]: 'authority', [nodeLabel]: own.node };
  await unlessThere(
    engine.call('make the config of an authority', signal, (docker, call) =>
      docker.createConfig({ ...call, Name: name, Labels, Data: base64(own.pem) }),
    ),
  );
  return { name, isNew: true };
}

export async function listCertificates(
  engine: Engine,
  signal: AbortSignal,
): Promise<readonly Certificate[]> {
  const found = await engine.secrets(byPart('certificate'), signal);
  return found.map(({ ID, Version, Spec }) => ({
    id: ID,
    name: Spec.Name,
    issuer: Spec.Labels?.[issuerLabel] ?? '',
    renewAt: Date.parse(Spec.Labels?.[renewLabel] ?? '') || 0,
    index: Version.Index,
  }));
}

/** The certificate to serve with: the one in use while it will do, else the youngest that will. Pure. */
export function usable(
  certificates: readonly Certificate[],
  of: {
    readonly issuers: readonly Authority[];
    readonly inUse: string | undefined;
    readonly now: number;
  },
): Certificate | undefined {
  const good = certificates
    .filter(({ issuer, renewAt }) => of.now < renewAt && of.issuers.some((a) => a.name === issuer))
    .sort((a, b) => b.index - a.index);
  return good.find(({ name }) => name === of.inUse) ?? good[0];
}

/** A new key and certificate in a secret; it is replaced when a third of its life is left. */
export async function issueCertificate(
  engine: Engine,
  authority: SiteAuthority,
  issuer: string,
  signal: AbortSignal,
): Promise<void> {
  const { key, cert, notAfter } = await authority.issueNode();
  const now = engine.clock.now();
  const renewAt = new Date(now + ((notAfter.getTime() - now) * 2) / 3);
  const Labels = {
    [partLabel]: 'certificate',
    [issuerLabel]: issuer,
    [renewLabel]: renewAt.toISOString(),
  };
  const Name = `cloudlet-helper-${contentHash(cert, 12)}`;
  await unlessThere(
    engine.call("make the secret of the helpers' key", signal, (docker, call) =>
      docker.createSecret({ ...call, Name, Labels, Data: base64(`${cert}\n${key.reveal()}`) }),
    ),
  );
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

async function unlessThere(making: Promise<unknown>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
  }
}
