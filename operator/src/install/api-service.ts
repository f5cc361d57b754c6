/**
 * The aggregated API `access.edge.cloudlet.dev/v1alpha1` and the Service that leads to the access server.
 *
 * The APIService names no authority: the access server writes its own there when it starts, since the
 * region's authority is made on the spot. Until then the API server refuses to speak to it.
 */
import { accessGroup, namespaces } from '@cloudlet/crds';
import { accessApiService, accountOf } from './accesses.ts';
import { type Manifest, manifest } from './manifest.ts';

export const accessServicePort = 443;

/** With pods the Service selects them; with processes on one machine it is a name for that machine. */
export type Reach =
  | { readonly kind: 'pods'; readonly targetPort: number }
  | { readonly kind: 'processes'; readonly host: string; readonly port: number };

export function accessManifests(reach: Reach): readonly Manifest[] {
  const name = accountOf('access');
  const port = reach.kind === 'pods' ? accessServicePort : reach.port;
  return [
    manifest(
      'v1',
      'Service',
      { name, namespace: namespaces.system },
      {
        spec:
          reach.kind === 'pods'
            ? {
                selector: { 'app.kubernetes.io/name': name },
                ports: [{ name: 'https', port, targetPort: reach.targetPort }],
              }
            : {
                type: 'ExternalName',
                externalName: reach.host,
                ports: [{ name: 'https', port }],
              },
      },
    ),
    manifest(
      'apiregistration.k8s.io/v1',
      'APIService',
      { name: accessApiService },
      {
        spec: {
          group: accessGroup,
          version: 'v1alpha1',
          groupPriorityMinimum: 1000,
          versionPriority: 15,
          service: { name, namespace: namespaces.system, port },
        },
      },
    ),
  ];
}
