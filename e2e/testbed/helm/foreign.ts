/** Kinds of others that the charts make objects of, from the Go modules of those who define them. */
import { join } from 'node:path';
import { moduleFolder } from './schemas.ts';

/** The versions of Kubernetes that the charts are checked against; the newest is the test bed's own. */
export const kubernetesModules: Readonly<Record<string, string>> = {
  '1.34': 'k8s.io/kubernetes@v1.34.0',
  '1.35': 'k8s.io/kubernetes@v1.35.0',
  '1.36': 'k8s.io/kubernetes@v1.36.3',
};

/** Module, and files of CRDs in it. */
const sources: readonly (readonly [string, readonly string[]])[] = [
  [
    'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    ['podmonitors', 'prometheusrules', 'servicemonitors'].map(
      (plural) => `example/prometheus-operator-crd/monitoring.coreos.com_${plural}.yaml`,
    ),
  ],
  [
    'sigs.k8s.io/gateway-api@v1.4.0',
    ['config/crd/experimental/gateway.networking.k8s.io_tlsroutes.yaml'],
  ],
  [
    'github.com/cert-manager/cert-manager@v1.19.1',
    ['deploy/crds/cert-manager.io_certificates.yaml', 'deploy/crds/cert-manager.io_issuers.yaml'],
  ],
];

/** Files of their CRDs; the modules are downloaded once and verified by Go. */
export async function foreignCrds(): Promise<string[]> {
  const files: string[] = [];
  for (const [module, paths] of sources) {
    const folder = await moduleFolder(module);
    files.push(...paths.map((path) => join(folder, path)));
  }
  return files;
}
