/** The objects of the demo, and what a person is told about going on with them. */
import { labels } from '@cloudlet/crds';
import type { ControlPlane } from '../../testbed/index.ts';

export const demo = {
  namespace: 'demo',
  cloudlet: 'phones',
  app: 'web',
  appInst: 'web-1',
} as const;

const apiVersion = 'edge.cloudlet.dev/v1alpha1';

/** An organization, an App of a web server, and an instance of it at the site. */
export function demoObjects(image: string): readonly object[] {
  const { namespace, cloudlet, app, appInst } = demo;
  return [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { [labels.organization]: 'true' } },
    },
    {
      apiVersion,
      kind: 'App',
      metadata: { name: app, namespace },
      spec: {
        version: '1',
        deployment: 'Docker',
        image,
        ports: [{ name: 'http', protocol: 'HTTP', port: 8080, healthCheck: healthCheck() }],
      },
    },
    {
      apiVersion,
      kind: 'AppInst',
      metadata: { name: appInst, namespace },
      spec: { appRef: { name: app }, cloudletRef: { name: cloudlet }, replicas: 2 },
    },
  ];
}

const healthCheck = (): object => ({ type: 'HTTP', path: '/healthz' });

export async function applyObjects(
  { kubectl }: ControlPlane,
  objects: readonly object[],
): Promise<void> {
  const list = { apiVersion: 'v1', kind: 'List', items: objects };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
}

export interface HowToGoOn {
  readonly kubeconfig: string;
  readonly uri: string;
  /** Folder of kubectl and its plugin. */
  readonly bin: string;
  readonly nextImage: string;
  readonly logs: string;
}

/** What is printed when all is up. */
export function howToGoOn(of: HowToGoOn): string {
  const { namespace, cloudlet, app, appInst } = demo;
  const patch = JSON.stringify({ spec: { version: '2', image: of.nextImage } });
  return `
${of.uri} answers. In another terminal:

  export KUBECONFIG=${of.kubeconfig} PATH=${of.bin}:$PATH
  kubectl config set-context --current --namespace ${namespace}

  kubectl get cloudlets,apps,appinsts
  kubectl describe appinst ${appInst}
  curl ${of.uri}
  kubectl scale appinst ${appInst} --replicas 3
  kubectl patch app ${app} --type merge -p '${patch}'
  kubectl cloudlet exec ${appInst} -- /web -version
  kubectl cloudlet --help

The logs are in ${of.logs}. The site is Cloudlet ${cloudlet}.
Ctrl-C ends everything and cleans up.
`;
}
