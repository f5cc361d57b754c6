/**
 * Certificate requests of agents (PKCS#10).
 *
 * Guarantees: a request that is read was signed by the key it holds, and the key is ECDSA P-256. Names in a
 * request mean nothing; who it is for is decided by the token or the certificate that came with it.
 */
import 'reflect-metadata';
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { InvalidError, type Secret } from '@cloudlet/runtime/base';
import { agentCommonName, exactBytes, fingerprintOf } from './certificate.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A request, PEM, for the key of this agent. */
export async function createAgentCsr(keyPem: Secret, cloudlet: string): Promise<string> {
  const key = createPrivateKey(keyPem.reveal());
  const jwk = key.export({ format: 'jwk' }) as webcrypto.JsonWebKey;
  const { d: _private, ...publicJwk } = jwk;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [agentCommonName(cloudlet)] }],
    signingAlgorithm: algorithm,
    keys: {
      privateKey: await webcrypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']),
      publicKey: await webcrypto.subtle.importKey('jwk', publicJwk, algorithm, true, ['verify']),
    },
  });
  return request.toString('pem');
}

/**
 * The key of a request.
 * @throws InvalidError when it is damaged, signed by another key, or the key is not ECDSA P-256.
 */
export async function readCsr(
  pem: string,
): Promise<{ readonly fingerprint: string; readonly publicKeyDer: Uint8Array }> {
  let publicKeyDer: Uint8Array;
  let isSound: boolean;
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    isSound = await request.verify();
    publicKeyDer = exactBytes(new Uint8Array(request.publicKey.rawData));
  } catch (cause) {
    throw new InvalidError('the certificate request cannot be read', { cause });
  }
  if (!isSound) throw new InvalidError('the certificate request is not signed by its own key');
  const details = createPublicKey({
    key: Buffer.from(publicKeyDer),
    format: 'der',
    type: 'spki',
  });
  if (details.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new InvalidError('the key of a certificate request must be ECDSA P-256');
  return { fingerprint: fingerprintOf(publicKeyDer), publicKeyDer };
}
