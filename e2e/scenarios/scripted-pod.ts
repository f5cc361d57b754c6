/**
 * A pod of the region on a control plane without nodes: a Node and a Pod as objects, and a small server that
 * answers what the API server asks a kubelet and a pod for. For what only reads pods.
 */
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { namespaces } from '@cloudlet/crds';
import type { ControlPlane } from '../testbed/index.ts';

export interface ScriptedPodOptions {
  readonly controlPlane: ControlPlane;
  /** Folder of the control plane, for a certificate. */
  readonly dir: string;
  readonly name: string;
  readonly restarts: number;
  /** What it has logged, and what the container before it had. */
  readonly log: string;
  readonly previousLog: string;
  readonly metrics: string;
}

/** Why there can be none: the API server reaches no pod on a loopback address. */
export const scriptedPodUnavailable = (): string | undefined =>
  ownAddress() === undefined ? 'this machine has no address but its loopback' : undefined;

const ownAddress = (): string | undefined =>
  Object.values(networkInterfaces())
    .flatMap((addresses = []) => addresses)
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

export async function startScriptedPod(options: ScriptedPodOptions): Promise<AsyncDisposable> {
  const { controlPlane, dir, name } = options;
  await using stack = new AsyncDisposableStack();
  const address = ownAddress() ?? '';
  const pki = (file: string): Buffer => readFileSync(join(dir, 'pki', file));
  const tls = { cert: pki('apiserver.crt'), key: pki('apiserver.key') };
  const listen = async (server: Server, host: string): Promise<number> => {
    stack.defer(() => {
      server.closeAllConnections();
      server.close();
    });
    server.listen(0, host);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const kubeletPort = await listen(createServer(tls, kubeletOf(options)), '127.0.0.1');
  const metricsPort = await listen(createPlainServer(metricsOf(options)), address);
  const { kubectl } = controlPlane;
  const place = ['--namespace', namespaces.system];
  const put = async (kind: string, object: object, status: object): Promise<void> => {
    await kubectl(['create', '-f', '-'], { input: JSON.stringify(object) });
    const gone = ['--force', '--grace-period=0', '--ignore-not-found'];
    stack.defer(async () => void (await kubectl(['delete', kind, name, ...place, ...gone])));
    const patch = JSON.stringify({ status });
    const how = ['--subresource=status', '--type=merge', '-p', patch];
    await kubectl(['patch', kind, name, ...place, ...how]);
  };
  await put(
    'node',
    { apiVersion: 'v1', kind: 'Node', metadata: { name } },
    {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
    },
  );
  await put('pod', podOf(name, metricsPort), {
    ...{ phase: 'Running', podIP: address, podIPs: [{ ip: address }] },
    containerStatuses: [
      {
        ...{ name: 'main', image: 'none', imageID: '' },
        ...{ ready: true, restartCount: options.restarts },
        state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
      },
    ],
  });
  return stack.move();
}

const withoutRights = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };

function podOf(name: string, metricsPort: number): object {
  const ports = [
    { name: 'https', containerPort: 8446 },
    { name: 'metrics', containerPort: metricsPort },
  ];
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: namespaces.system } },
    spec: {
      ...{ nodeName: name, automountServiceAccountToken: false },
      // As the namespace wants it of every pod.
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'main', image: 'none', ports, securityContext: withoutRights }],
    },
  };
}

/** The one call of a kubelet that reading a log makes. */
function kubeletOf({ name, log, previousLog }: ScriptedPodOptions): RequestListener {
  return ({ url = '' }, response) => {
    const { pathname, searchParams } = new URL(url, 'https://kubelet');
    const isLog = pathname === `/containerLogs/${namespaces.system}/${name}/main`;
    const isPrevious = searchParams.get('previous') === 'true';
    response.writeHead(isLog ? 200 : 404, { 'content-type': 'text/plain' });
    response.end(isLog ? (isPrevious ? previousLog : log) : `the kubelet knows no ${pathname}`);
  };
}

function metricsOf({ metrics }: ScriptedPodOptions): RequestListener {
  return ({ url }, response) => {
    const isMetrics = url === '/metrics';
    response.writeHead(isMetrics ? 200 : 404, { 'content-type': 'text/plain; version=0.0.4' });
    response.end(isMetrics ? metrics : 'not here');
  };
}
