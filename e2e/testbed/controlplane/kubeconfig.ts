/** Kubeconfig files: one cluster, one user, one context. JSON, which is YAML. Readable by the owner only. */
import { writeFileSync } from 'node:fs';

export interface KubeconfigInput {
  readonly server: string;
  /** PEM of the authority that signed the server. */
  readonly certificateAuthority: string;
  readonly user:
    { readonly certificate: string; readonly key: string } | { readonly token: string };
  readonly namespace?: string;
}

export function writeKubeconfig(file: string, input: KubeconfigInput): void {
  const { server, certificateAuthority, user, namespace } = input;
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const credentials =
    'token' in user
      ? { token: user.token }
      : {
          'client-certificate-data': base64(user.certificate),
          'client-key-data': base64(user.key),
        };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'region',
        cluster: { server, 'certificate-authority-data': base64(certificateAuthority) },
      },
    ],
    users: [{ name: 'user', user: credentials }],
    contexts: [
      {
        name: 'region',
        context: { cluster: 'region', user: 'user', ...(namespace && { namespace }) },
      },
    ],
    'current-context': 'region',
  };
  writeFileSync(file, JSON.stringify(config, undefined, 2) + '\n', { mode: 0o600 });
}
