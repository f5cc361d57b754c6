/**
 * The region's own identity: its authority, the serving certificates that it issues to hub and access, and
 * the key of the hashes that copied secrets are named by.
 *
 * The authority and the hash key lie in a namespace that only the operator reads: hub and access have rights
 * in the system namespace, and RBAC cannot leave single names out.
 *
 * Guarantees: each is made once and never overwritten while it can be read; an authority that is damaged
 * stops the operator's issuing and is left for a person, since a new one would cut off every site; serving
 * certificates are renewed with a third of their life left, or when their names change.
 */
import { randomBytes } from 'node:crypto';
import { labels, namespaces } from '@cloudlet/crds';
import {
  type Clock,
  ConflictError,
  contentHash,
  NotFoundError,
  Secret,
  WaitingError,
} from '@cloudlet/runtime/base';
import type { Outcome, ReconcileContext, ResourceClient } from '@cloudlet/runtime/kubernetes';
import {
  type Authority,
  createAuthority,
  issueServer,
  loadAuthority,
  parseCertificates,
  type RegionRole,
} from '@cloudlet/tunnel';
import type { SecretObject } from '../../kinds.ts';
import { caSecret, hashKeySecret, servingSecrets } from '../../names.ts';
import { decode } from '../../plan/secrets.ts';

/** The one key of this controller. */
export const identityKey = 'region';

export interface IdentityOptions {
  readonly secrets: ResourceClient<SecretObject>;
  readonly clock: Clock;
  /** DNS names and addresses under which hub and access are reached. */
  readonly hosts: Readonly<Record<keyof typeof servingSecrets, readonly string[]>>;
  /** `given`: somebody else makes and renews it, as a Secret of type kubernetes.io/tls; none is made here. */
  readonly authority: 'own' | 'given';
}

export interface RegionIdentity {
  /** @throws WaitingError until it is loaded. */
  authority(): Authority;
  /** @throws WaitingError until it is loaded. */
  hashKey(): string;
  reconcile(context: ReconcileContext): Promise<Outcome>;
}

/** On a serving Secret: hash of the names in the certificate. */
const hostsAnnotation = 'edge.cloudlet.dev/hosts';
const checkMs = 6 * 3_600_000;

export function createRegionIdentity(options: IdentityOptions): RegionIdentity {
  let authority: Authority | undefined;
  let hashKey: string | undefined;
  const loaded = <T>(value: T | undefined): T => {
    if (value === undefined)
      throw new WaitingError('Progressing', "the region's identity is not loaded yet", 500);
    return value;
  };
  return {
    authority: () => loaded(authority),
    hashKey: () => loaded(hashKey),
    async reconcile({ signal }) {
      authority = await ensureAuthority(options, signal);
      hashKey = await ensureHashKey(options, signal);
      for (const role of ['hub', 'access'] as const)
        await ensureServing(options, authority, role, signal);
      return { kind: 'requeue', afterMs: checkMs, reason: 'certificates are looked at again' };
    },
  };
}

async function ensureAuthority(options: IdentityOptions, signal: AbortSignal): Promise<Authority> {
  if (options.authority === 'given') return givenAuthority(options, signal);
  const secret = await ensureSecret(options, caSecret, signal, async () => {
    const made = await createAuthority({ now: options.clock.now() });
    return { 'ca.crt': made.certificatePem, 'ca.key': made.keyPem.reveal() };
  });
  return loadAuthority({
    certificatePem: decode(secret.data?.['ca.crt'] ?? ''),
    keyPem: new Secret(decode(secret.data?.['ca.key'] ?? '')),
  });
}

/** @throws WaitingError until there is one. */
async function givenAuthority(
  { secrets }: IdentityOptions,
  signal: AbortSignal,
): Promise<Authority> {
  const { data } = await secrets
    .get(caSecret, namespaces.authority, { signal })
    .catch((error: unknown) => {
      if (!(error instanceof NotFoundError)) throw error;
      const wanted = `${namespaces.authority}/${caSecret}`;
      throw new WaitingError(
        'Progressing',
        `waiting for the authority: no Secret ${wanted}`,
        2_000,
      );
    });
  return loadAuthority({
    certificatePem: decode(data?.['tls.crt'] ?? ''),
    keyPem: new Secret(decode(data?.['tls.key'] ?? '')),
  });
}

async function ensureHashKey(options: IdentityOptions, signal: AbortSignal): Promise<string> {
  const secret = await ensureSecret(options, hashKeySecret, signal, () =>
    Promise.resolve({ key: randomBytes(32).toString('base64url') }),
  );
  return decode(secret.data?.['key'] ?? '');
}

/** Gives the Secret, made from `content` where there is none. Two that make it at once agree on the first. */
async function ensureSecret(
  { secrets }: IdentityOptions,
  name: string,
  signal: AbortSignal,
  content: () => Promise<Readonly<Record<string, string>>>,
): Promise<SecretObject> {
  try {
    return await secrets.get(name, namespaces.authority, { signal });
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
  try {
    const object = secretObject(namespaces.authority, name, await content());
    return await secrets.create(object, { signal });
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
    return secrets.get(name, namespaces.authority, { signal });
  }
}

async function ensureServing(
  options: IdentityOptions,
  authority: Authority,
  part: keyof typeof servingSecrets & RegionRole,
  signal: AbortSignal,
): Promise<void> {
  const { secrets, clock } = options;
  const name = servingSecrets[part];
  const hosts = [...new Set(['localhost', ...options.hosts[part]])].sort();
  const existing = await secrets
    .get(name, namespaces.system, { signal })
    .catch((error: unknown) => {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    });
  if (existing && isFit(existing, authority, hosts, clock.now())) return;
  const issued = await issueServer(authority, { role: part, hosts, now: clock.now() });
  const object = secretObject(
    namespaces.system,
    name,
    {
      'tls.crt': issued.certificatePem,
      'tls.key': issued.keyPem.reveal(),
      'ca.crt': issued.caPem,
    },
    { [hostsAnnotation]: contentHash(hosts, 16) },
  );
  if (!existing) await secrets.create({ ...object, type: 'kubernetes.io/tls' }, { signal });
  else
    await secrets.replace(
      {
        ...existing,
        metadata: { ...existing.metadata, ...object.metadata },
        data: object.data,
      },
      { signal },
    );
}

/** Whether a serving certificate is of this authority, for these names, and has a third of its life left. */
function isFit(
  { metadata, data }: SecretObject,
  authority: Authority,
  hosts: readonly string[],
  now: number,
): boolean {
  if (metadata.annotations?.[hostsAnnotation] !== contentHash(hosts, 16)) return false;
  if (decode(data?.['ca.crt'] ?? '') !== authority.certificatePem || !data?.['tls.key'])
    return false;
  try {
    const [certificate] = parseCertificates(decode(data['tls.crt'] ?? ''));
    if (!certificate) return false;
    const [start, end] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
    return now < end - (end - start) / 3;
  } catch {
    return false; // one that cannot be read is made anew
  }
}

function secretObject(
  namespace: string,
  name: string,
  content: Readonly<Record<string, string>>,
  annotations: Readonly<Record<string, string>> = {},
) {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      namespace,
      labels: { [labels.managedBy]: 'cloudlet-operator' },
      annotations,
    },
    type: 'Opaque',
    data: Object.fromEntries(
      Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    ),
  };
}
