/**
 * How hollow sites come to belong to Cloudlets: by the join that an administrator hands over, as in the field,
 * or, to set a bed up quickly, by certificates that are made here.
 *
 * Guarantees of the quick way: key, certificate, bound join and recorded key are what enrolment leaves behind,
 * made by the same code (the authority's Secret, `signAgentCsr`, the agent's own identity store); the operator
 * records each key itself. What it leaves out is the enrolment call and its certificate request.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cloudlet, type CloudletSpec, groupVersion, namespaces } from '@cloudlet/crds';
import {
  caSecret,
  joinSecretName,
  resourceTypes,
  type SecretObject,
  secretType,
} from '@cloudlet/operator';
import { Secret } from '@cloudlet/runtime/base';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import {
  type Authority,
  createAgentCsr,
  createFileIdentityStore,
  type LifeOptions,
  loadAuthority,
  signAgentCsr,
} from '@cloudlet/tunnel';
import type { SiteSetup } from './hollow-messages.ts';
import { inParallel, type Watching, watching } from './watching.ts';

export interface EnrolOptions {
  readonly client: KubernetesClient;
  readonly cloudlets: Watching<Cloudlet>;
  readonly names: readonly string[];
  /** Holds a folder a site. */
  readonly dir: string;
  readonly how: 'minted' | 'joined';
  readonly spec: Partial<CloudletSpec>;
  /** Instead of the addresses that the region's joins say. */
  readonly via: { readonly hub?: string; readonly enroll?: string };
  readonly signal: AbortSignal;
}

/** Sites that wait for the operator at once; more only fill its queue. */
const sitesAtOnce = 64;

/** Makes a Cloudlet a name and what its agent needs to start. */
export async function prepareSites(options: EnrolOptions): Promise<readonly SiteSetup[]> {
  const { client, names, dir, how, signal } = options;
  await using secrets = await watching<SecretObject>(client, secretType, {
    namespace: namespaces.system,
    signal,
  });
  const authority = await authorityOf(client);
  const setups = new Map<string, SiteSetup>();
  await inParallel(names, sitesAtOnce, async (name, index) => {
    const cloudlet = await createCloudlet(options, name);
    const folder = join(dir, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const held = await secrets.whenever(
      `${namespaces.system}/${joinSecretName(name)}`,
      ({ data }) => textOf(data, 'cloudletId') === cloudlet.metadata.uid,
    );
    const joinFile = join(folder, 'join.json');
    const { token, ...rest } = JSON.parse(textOf(held.data, 'join')) as Record<string, string>;
    const joined = { ...rest, ...options.via, ...(how === 'joined' && { token }) };
    await writeFile(joinFile, JSON.stringify(joined), { mode: 0o600 });
    if (how === 'minted') await mint(options, authority, cloudlet, folder);
    setups.set(name, { name, folder, joinFile, from: addressOf(index) });
  });
  return names.flatMap((name) => setups.get(name) ?? []);
}

async function createCloudlet(
  { client, spec, signal }: EnrolOptions,
  name: string,
): Promise<Cloudlet> {
  return client.resource<Cloudlet>(resourceTypes.Cloudlet).create(
    {
      apiVersion: groupVersion,
      kind: 'Cloudlet',
      metadata: { name },
      spec: { operator: 'hollow', platform: 'Fake', ...spec },
    },
    { signal },
  );
}

/** A certificate as enrolment gives it, and the operator's note that the key is the site's. */
async function mint(
  { client, cloudlets, signal }: EnrolOptions,
  authority: Authority,
  cloudlet: Cloudlet,
  folder: string,
): Promise<void> {
  const { name } = cloudlet.metadata;
  const fingerprint = await mintCertificate({ authority, cloudlet, folder });
  const data = { boundKey: Buffer.from(fingerprint).toString('base64'), join: null };
  await client
    .resource<SecretObject>(secretType)
    .mergePatch(joinSecretName(name), namespaces.system, { data }, { signal });
  await cloudlets.whenever(name, ({ status }) =>
    (status?.keys ?? []).some((key) => key.fingerprint === fingerprint),
  );
}

export interface MintOptions extends LifeOptions {
  readonly authority: Authority;
  readonly cloudlet: Cloudlet;
  /** The agent's state folder. */
  readonly folder: string;
}

/** Gives the key in a state folder (made where there is none) a certificate. @returns its fingerprint. */
export async function mintCertificate(options: MintOptions): Promise<string> {
  const { authority, cloudlet, folder, ...life } = options;
  const { name, uid } = cloudlet.metadata;
  const store = createFileIdentityStore(join(folder, 'identity'));
  const { keyPem } = await store.load();
  const csrPem = await createAgentCsr(keyPem, name);
  const issued = await signAgentCsr(authority, {
    ...{ csrPem, cloudlet: name, cloudletId: uid },
    ...life,
  });
  await store.save({ certificatePem: issued.certificatePem, caPem: authority.certificatePem });
  return issued.fingerprint;
}

/** The region's authority, as an administrator may read it. */
export async function authorityOf(client: KubernetesClient): Promise<Authority> {
  const secret = await client
    .resource<SecretObject>(secretType)
    .get(caSecret, namespaces.authority);
  return loadAuthority({
    certificatePem: textOf(secret.data, 'ca.crt'),
    keyPem: new Secret(textOf(secret.data, 'ca.key')),
  });
}

const textOf = (data: SecretObject['data'], key: string): string =>
  Buffer.from(data?.[key] ?? '', 'base64').toString();

/** Each site has an address of its own: the region's limits by address are those of the field. */
const addressOf = (index: number): string =>
  `127.${10 + Math.floor(index / 62_500)}.${Math.floor(index / 250) % 250}.${(index % 250) + 2}`;
