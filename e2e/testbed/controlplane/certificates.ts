/**
 * The certificates of the embedded control plane, made with openssl (arguments, no shell).
 *
 * Two authorities: `ca` signs the API server and its users, `front-proxy` signs the API server as a client
 * of aggregated APIs, as kubeadm lays it out. Keys are P-256, but the one of service accounts, which is RSA
 * because that is what every consumer of their tokens reads. Keys never leave the folder (0700).
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';

export interface Certificates {
  readonly dir: string;
  path(name: CertificateFile): string;
}

export type CertificateFile =
  | 'ca.crt'
  | 'ca.key'
  | 'front-proxy-ca.crt'
  | 'apiserver.crt'
  | 'apiserver.key'
  | 'admin.crt'
  | 'admin.key'
  | 'front-proxy-client.crt'
  | 'front-proxy-client.key'
  | 'sa.key';

const days = '3650';

/** Makes what is missing in `dir`. */
export async function ensureCertificates(dir: string): Promise<Certificates> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const certificates = { dir, path: (name: string) => join(dir, name) };
  if (existsSync(join(dir, 'complete'))) return certificates;
  await makeAuthority(dir, 'ca', 'kubernetes');
  await makeAuthority(dir, 'front-proxy-ca', 'front-proxy');
  await openssl(dir, 'genrsa', '-out', 'sa.key', '2048');
  await issue(dir, 'apiserver', {
    authority: 'ca',
    subject: '/CN=kube-apiserver',
    extensions: [
      'subjectAltName=IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc',
      'extendedKeyUsage=serverAuth',
    ],
  });
  await issue(dir, 'admin', {
    authority: 'ca',
    subject: '/O=system:masters/CN=kubernetes-admin',
    extensions: ['extendedKeyUsage=clientAuth'],
  });
  await issue(dir, 'front-proxy-client', {
    authority: 'front-proxy-ca',
    subject: '/CN=front-proxy-client',
    extensions: ['extendedKeyUsage=clientAuth'],
  });
  writeFileSync(join(dir, 'complete'), '');
  return certificates;
}

async function makeAuthority(dir: string, name: string, commonName: string): Promise<void> {
  await makeKey(dir, name);
  const subject = ['-subj', `/CN=${commonName}`];
  const files = ['-key', `${name}.key`, '-out', `${name}.crt`];
  await openssl(dir, 'req', '-x509', '-new', ...files, '-days', days, ...subject);
}

interface Request {
  readonly authority: 'ca' | 'front-proxy-ca';
  readonly subject: string;
  readonly extensions: readonly string[];
}

async function issue(dir: string, name: string, request: Request): Promise<void> {
  await makeKey(dir, name);
  const { authority, subject, extensions } = request;
  writeFileSync(join(dir, `${name}.ext`), extensions.join('\n') + '\n');
  const wanted = ['-key', `${name}.key`, '-subj', subject, '-out', `${name}.csr`];
  await openssl(dir, 'req', '-new', ...wanted);
  const signer = ['-CA', `${authority}.crt`, '-CAkey', `${authority}.key`];
  const serial = ['-set_serial', `0x${randomBytes(8).toString('hex')}`, '-days', days];
  const files = ['-in', `${name}.csr`, '-extfile', `${name}.ext`, '-out', `${name}.crt`];
  await openssl(dir, 'x509', '-req', ...signer, ...serial, ...files);
}

async function makeKey(dir: string, name: string): Promise<void> {
  await openssl(dir, 'ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', `${name}.key`);
}

async function openssl(dir: string, ...args: string[]): Promise<void> {
  await runCommand('openssl', args, { cwd: dir, timeoutMs: 30_000 });
}
