/**
 * Names in certificates, and the checks that a certificate must pass before its name counts.
 *
 * Guarantees: an identity is read from a certificate only after its signature was checked against one of
 * our authorities; a certificate with more than one subject or alternative name has no identity; an expired
 * certificate has one only where the caller asked for that (the enrolment listener).
 */
import { createHash, X509Certificate, type KeyObject } from 'node:crypto';
import { ForbiddenError, InvalidError } from '@cloudlet/runtime/base';
import type { SiteIdentity } from '../hub/backend.ts';

/** Parts of the region that show a certificate of its authority. */
export type RegionRole = 'hub' | 'access' | 'operator';

/** Ends of the connections inside a site, which the site's own authority certifies. */
export type SiteRole = 'agent' | 'node';

const clientAuth = '1.3.6.1.5.5.7.3.2';
const serverAuth = '1.3.6.1.5.5.7.3.1';

export const agentCommonName = (cloudlet: string): string => `edge:cloudlet:${cloudlet}`;
export const agentUri = (cloudlet: string, cloudletId: string): string =>
  `urn:cloudlet:${cloudlet}:${cloudletId}`;
export const roleCommonName = (role: RegionRole): string => `edge:${role}`;
export const siteCommonName = (role: SiteRole): string => `edge:${role}`;

const cloudletPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const agentNamePattern = /^URI:urn:cloudlet:([a-z0-9][-a-z0-9]{0,62}):([-a-zA-Z0-9]{1,64})$/;

/** `SHA256:` and the unpadded base64 of the SHA-256 of the key's DER SubjectPublicKeyInfo. */
export function fingerprintOf(publicKey: KeyObject | Uint8Array): string {
  return 'SHA256:' + sha256(spkiOf(publicKey)).toString('base64').replace(/=+$/, '');
}

/** SHA-256 of a certificate's SubjectPublicKeyInfo in hex: what a join pins. */
export function pinOf(certificate: X509Certificate): string {
  return sha256(spkiOf(certificate.publicKey)).toString('hex');
}

/**
 * All certificates of a PEM bundle.
 * @throws InvalidError when there is none or one cannot be parsed.
 */
export function parseCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new InvalidError('no certificate in the PEM text');
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw new InvalidError('a certificate of the PEM text cannot be parsed', { cause });
  }
}

export interface VerifyOptions {
  readonly authorities: readonly X509Certificate[];
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Lets a certificate through whose time is over; everything else still holds. @default false */
  readonly allowExpired?: boolean;
}

/**
 * The site that a client certificate stands for.
 * @throws ForbiddenError that says which check failed.
 */
export function verifyAgent(certificate: X509Certificate, options: VerifyOptions): SiteIdentity {
  verifyChain(certificate, options, clientAuth);
  // Node quotes a name that could be taken for two, so a match of the whole text is a match of one name.
  const [, cloudlet, cloudletId] = agentNamePattern.exec(certificate.subjectAltName ?? '') ?? [];
  if (
    cloudlet === undefined ||
    cloudletId === undefined ||
    certificate.subject !== `CN=${agentCommonName(cloudlet)}`
  )
    throw new ForbiddenError(`certificate ${shown(certificate)}: not the certificate of an agent`);
  return {
    cloudlet,
    cloudletId,
    fingerprint: fingerprintOf(certificate.publicKey),
    notAfter: new Date(certificate.validTo),
  };
}

/**
 * Checks that a certificate is that of the region's part `role`, as server or as client.
 * @throws ForbiddenError that says which check failed.
 */
export function verifyRole(
  certificate: X509Certificate,
  role: RegionRole,
  options: VerifyOptions,
): void {
  verifyChain(certificate, options, serverAuth);
  if (certificate.subject !== `CN=${roleCommonName(role)}`)
    throw new ForbiddenError(`certificate ${shown(certificate)}: not that of edge:${role}`);
}

function verifyChain(certificate: X509Certificate, options: VerifyOptions, usage: string): void {
  const { authorities, now, allowExpired = false } = options;
  const name = shown(certificate);
  const issuers = authorities.filter(
    (authority) =>
      authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey),
  );
  if (issuers.length === 0)
    throw new ForbiddenError(`certificate ${name}: not issued by this region`);
  if (!issuers.some((issuer) => isWithin(issuer, now)))
    throw new ForbiddenError(
      `certificate ${name}: its authority is not valid at ${new Date(now).toISOString()}`,
    );
  if (certificate.ca) throw new ForbiddenError(`certificate ${name}: is an authority's`);
  if (!certificate.keyUsage?.includes(usage))
    throw new ForbiddenError(`certificate ${name}: not for this use`);
  if (now < Date.parse(certificate.validFrom))
    throw new ForbiddenError(`certificate ${name}: not valid before ${certificate.validFrom}`);
  if (!allowExpired && now > Date.parse(certificate.validTo))
    throw new ForbiddenError(`certificate ${name}: expired ${certificate.validTo}`);
}

/** Whether `name` can be that of a Cloudlet; certificates are made for no other. */
export function isCloudletName(name: string): boolean {
  return cloudletPattern.test(name);
}

function isWithin(certificate: X509Certificate, now: number): boolean {
  return now >= Date.parse(certificate.validFrom) && now <= Date.parse(certificate.validTo);
}

function spkiOf(publicKey: KeyObject | Uint8Array): Uint8Array {
  return publicKey instanceof Uint8Array
    ? publicKey
    : publicKey.export({ type: 'spki', format: 'der' });
}

function sha256(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest();
}

/** The library takes the whole ArrayBuffer behind a view; Node's buffers share one. */
export function exactBytes(data: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(data);
}

function shown(certificate: X509Certificate): string {
  return certificate.subject.replaceAll('\n', ' ').slice(0, 128);
}
