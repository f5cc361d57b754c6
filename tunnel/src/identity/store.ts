/**
 * Where an agent keeps who it is: its key, its certificate and the region's authority.
 *
 * Guarantees: the key is made once, written before its first use, readable by its owner alone; every file is
 * written aside, synced and renamed, so that a cut leaves the old or the new one; a certificate that cannot
 * be read counts as absent, and the same key enrols again.
 */
import { createPrivateKey, randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidError, Secret } from '@cloudlet/runtime/base';
import { parseCertificates } from './certificate.ts';
import { createKey } from './key.ts';

export interface StoredIdentity {
  readonly keyPem: Secret;
  readonly certificatePem?: string;
  readonly caPem?: string;
}

export interface IdentityStore {
  /**
   * What is kept; makes the key when there is none.
   * @throws InvalidError when a key is there that cannot be read: it is never replaced silently.
   */
  load(): Promise<StoredIdentity>;
  save(issued: { readonly certificatePem: string; readonly caPem: string }): Promise<void>;
}

const files = { key: 'agent.key', certificate: 'agent.crt', ca: 'ca.crt' } as const;

export function createFileIdentityStore(directory: string): IdentityStore {
  const path = (name: keyof typeof files): string => join(directory, files[name]);
  const keyOf = async (): Promise<Secret> => {
    const pem = await readIfThere(path('key'));
    if (pem !== undefined) return parseKey(pem, path('key'));
    const made = createKey();
    await writeAtomically(directory, files.key, made.reveal(), 0o600);
    return made;
  };
  return {
    async load() {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const keyPem = await keyOf();
      const certificatePem = soundPem(await readIfThere(path('certificate')));
      const caPem = soundPem(await readIfThere(path('ca')));
      return { keyPem, ...(certificatePem && { certificatePem }), ...(caPem && { caPem }) };
    },
    async save({ certificatePem, caPem }) {
      // The authority first: a new one is a bundle that holds the old one too.
      await writeAtomically(directory, files.ca, caPem, 0o644);
      await writeAtomically(directory, files.certificate, certificatePem, 0o644);
    },
  };
}

/** Keeps everything in memory; for tests and short-lived agents. */
export function createMemoryIdentityStore(initial?: Partial<StoredIdentity>): IdentityStore {
  let stored: StoredIdentity = { keyPem: createKey(), ...initial };
  return {
    load: () => Promise.resolve(stored),
    save(issued) {
      stored = { ...stored, ...issued };
      return Promise.resolve();
    },
  };
}

function parseKey(pem: string, path: string): Secret {
  try {
    createPrivateKey(pem);
  } catch {
    throw new InvalidError(`${path}: not a private key; remove it to enrol with a new one`);
  }
  return new Secret(pem);
}

function soundPem(pem: string | undefined): string | undefined {
  try {
    return pem !== undefined && parseCertificates(pem).length > 0 ? pem : undefined;
  } catch {
    return undefined; // enrolled anew
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeAtomically(
  directory: string,
  name: string,
  text: string,
  mode: number,
): Promise<void> {
  const aside = join(directory, `.${name}.${randomBytes(6).toString('hex')}`);
  try {
    const file = await open(aside, 'wx', mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, join(directory, name));
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
