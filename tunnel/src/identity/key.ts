/**
 * Private keys. Apart from the authority, so that an agent that holds a certificate never loads what makes
 * certificates: that costs a phone 10 MiB of memory.
 */
import { generateKeyPairSync } from 'node:crypto';
import { Secret } from '@cloudlet/runtime/base';

/** A new ECDSA P-256 private key, PKCS#8 PEM. */
export function createKey(): Secret {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return new Secret(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}
