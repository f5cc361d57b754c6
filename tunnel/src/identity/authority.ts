/**
 * The region's certificate authority: ECDSA P-256, one level deep.
 *
 * Guarantees: an agent's certificate gets its names from the caller alone, whatever its request says, may
 * only be a client's, and lives 30 days from now, backdated one hour for clocks that are behind; no private
 * key leaves this module but as PEM in a `Secret`.
 */
import 'reflect-metadata';
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import { InvalidError, type Secret } from '@cloudlet/runtime/base';
import {
  agentCommonName,
  agentUri,
  exactBytes,
  fingerprintOf,
  isCloudletName,
  parseCertificates,
  pinOf,
  roleCommonName,
  siteCommonName,
  type RegionRole,
  type SiteRole,
} from './certificate.ts';
import { readCsr } from './csr.ts';
import { createKey } from './key.ts';

const dayMs = 86_400_000;
const backdateMs = 3_600_000;

/** Life of an agent's certificate in days. */
export const agentCertificateDays = 30;

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface Authority {
  readonly certificatePem: string;
  readonly keyPem: Secret;
  /** What joins pin. */
  readonly pin: string;
}

export interface IssuedCertificate {
  readonly certificatePem: string;
  readonly fingerprint: string;
  readonly notAfter: Date;
}

export interface IssuedPair extends IssuedCertificate {
  readonly keyPem: Secret;
}

export interface IssuedServer extends IssuedPair {
  readonly caPem: string;
}

export interface LifeOptions {
  /** Milliseconds since the epoch. @default Date.now() */
  readonly now?: number;
  readonly days?: number;
}

/** A new authority with a key of its own; it lives ten years. */
export async function createAuthority(
  options: LifeOptions & { readonly commonName?: string } = {},
): Promise<Authority> {
  const { now = Date.now(), days = 3650, commonName = 'edge:authority' } = options;
  const keyPem = createKey();
  const keys = await keyPair(keyPem);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + days * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return loadAuthority({ certificatePem: certificate.toString('pem'), keyPem });
}

/**
 * An authority from its stored parts.
 * @throws InvalidError when they are damaged or do not belong together.
 */
export async function loadAuthority(stored: {
  readonly certificatePem: string;
  readonly keyPem: Secret;
}): Promise<Authority> {
  const [certificate] = parseCertificates(stored.certificatePem);
  if (!certificate?.ca)
    throw new InvalidError('the authority certificate is not one of an authority');
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(stored.keyPem.reveal())))
      throw new InvalidError('the authority key is not the one of its certificate');
  } catch (cause) {
    if (cause instanceof InvalidError) throw cause;
    throw new InvalidError('the authority key cannot be read'); // the cause may quote key material
  }
  return { certificatePem: stored.certificatePem, keyPem: stored.keyPem, pin: pinOf(certificate) };
}

/** A key and a certificate for a part of the region, to serve with and to show to other parts. */
export async function issueServer(
  authority: Authority,
  request: LifeOptions & {
    readonly role: RegionRole;
    /** DNS names and addresses under which it is reached. */
    readonly hosts: readonly string[];
  },
): Promise<IssuedServer> {
  const keyPem = createKey();
  const keys = await keyPair(keyPem);
  const names = request.hosts.map((host) => ({
    type: isIP(host) ? ('ip' as const) : ('dns' as const),
    value: host,
  }));
  const issued = await issue(authority, keys.publicKey, {
    ...request,
    days: request.days ?? 90,
    commonName: roleCommonName(request.role),
    usages: [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
    names,
  });
  return { ...issued, keyPem, caPem: authority.certificatePem };
}

/**
 * A key and a certificate for an end of the connections inside a site. That of a node serves only and that of
 * an agent asks only, so that a node that was taken over opens no other one.
 */
export async function issueSite(
  authority: Authority,
  request: LifeOptions & { readonly role: SiteRole; readonly days: number },
): Promise<IssuedPair> {
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  const keyPem = createKey();
  const keys = await keyPair(keyPem);
  const issued = await issue(authority, keys.publicKey, {
    ...request,
    commonName: siteCommonName(request.role),
    usages: [request.role === 'node' ? serverAuth : clientAuth],
    names: [],
  });
  return { ...issued, keyPem };
}

/**
 * Signs an agent's request for the Cloudlet that the caller found it to belong to.
 * @throws InvalidError when the request is damaged, not signed by its own key, or of a wrong kind of key.
 */
export async function signAgentCsr(
  authority: Authority,
  request: LifeOptions & {
    readonly csrPem: string;
    readonly cloudlet: string;
    readonly cloudletId: string;
  },
): Promise<IssuedCertificate> {
  const { cloudlet, cloudletId } = request;
  if (!isCloudletName(cloudlet)) throw new InvalidError(`no Cloudlet can be named ${cloudlet}`);
  const { publicKeyDer } = await readCsr(request.csrPem);
  const publicKey = await webcrypto.subtle.importKey(
    'spki',
    exactBytes(publicKeyDer),
    algorithm,
    true,
    ['verify'],
  );
  return issue(authority, publicKey, {
    ...request,
    days: request.days ?? agentCertificateDays,
    commonName: agentCommonName(cloudlet),
    usages: [x509.ExtendedKeyUsage.clientAuth],
    names: [{ type: 'url', value: agentUri(cloudlet, cloudletId) }],
  });
}

interface IssueRequest extends LifeOptions {
  readonly days: number;
  readonly commonName: string;
  readonly usages: x509.ExtendedKeyUsage[];
  readonly names: { type: 'url' | 'dns' | 'ip'; value: string }[];
}

async function issue(
  authority: Authority,
  publicKey: webcrypto.CryptoKey,
  request: IssueRequest,
): Promise<IssuedCertificate> {
  const { now = Date.now(), days } = request;
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const notAfter = new Date(Math.min(now + days * dayMs, issuer.notAfter.getTime()));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [request.commonName] }],
    issuer: issuer.subjectName,
    notBefore: new Date(now - backdateMs),
    notAfter,
    signingAlgorithm: algorithm,
    publicKey,
    signingKey: (await keyPair(authority.keyPem)).privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(request.usages),
      ...(request.names.length > 0
        ? [new x509.SubjectAlternativeNameExtension(request.names)]
        : []),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  const [parsed] = parseCertificates(certificate.toString('pem'));
  if (!parsed) throw new InvalidError('the new certificate cannot be read back');
  return {
    certificatePem: certificate.toString('pem'),
    fingerprint: fingerprintOf(parsed.publicKey),
    notAfter: certificate.notAfter,
  };
}

async function keyPair(keyPem: Secret): Promise<webcrypto.CryptoKeyPair> {
  const key = createPrivateKey(keyPem.reveal());
  const jwk = key.export({ format: 'jwk' }) as webcrypto.JsonWebKey;
  const { d: _private, ...publicJwk } = jwk;
  return {
    privateKey: await webcrypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('jwk', publicJwk, algorithm, true, ['verify']),
  };
}

/** Positive, 127 bits of it random. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString('hex');
}
