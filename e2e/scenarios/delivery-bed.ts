/**
 * A region that Helm installed: a control plane without nodes, the chart's objects in it, and the processes
 * that its Deployments would start, from the bundle of the image, with the Deployments' own arguments.
 */
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { namespaces } from '@cloudlet/crds';
import { mallocTunings, nodeFlags } from '@cloudlet/operator/launch';
import { bundleOperator } from '@cloudlet/operator/bundle';
import {
  type Component,
  type EmbeddedControlPlane,
  expect,
  freePorts,
  repositoryRoot,
  startControlPlane,
} from '../testbed/index.ts';
import { componentOf } from '../testbed/component.ts';
import { type Helm, helmOf } from '../testbed/helm/helm.ts';
import { accountKubeconfig } from '../testbed/region/install.ts';

export interface PodTemplate {
  readonly metadata: object;
  readonly spec: {
    readonly containers: readonly { readonly name: string; readonly args: readonly string[] }[];
  };
}

export interface InstalledProcess extends Component {
  metrics(): Promise<string>;
}

export interface InstalledRegion {
  readonly dir: string;
  readonly controlPlane: EmbeddedControlPlane;
  readonly helm: Helm;
  /** JSON of `kubectl get`. */
  get<T>(...what: string[]): Promise<T>;
  podOf(workload: string, namespace?: string): Promise<PodTemplate>;
  /** Prepares a process of the region; what is given is added to its arguments. */
  process(name: 'operator' | 'hub' | 'access', more?: readonly string[]): Promise<InstalledProcess>;
  close(): Promise<void>;
}

export const chart = (name: string): string => join(repositoryRoot, 'charts', name);
export const valuesOf = (name: string, file: string): string => join(chart(name), 'ci', file);

export async function openInstalledRegion(): Promise<InstalledRegion> {
  const dir = await mkdtemp(join(tmpdir(), 'delivery-'));
  const controlPlane = await startControlPlane({ dir: join(dir, 'region') });
  const helm = await helmOf(controlPlane.kubeconfig);
  const { kubectl } = controlPlane;
  const started: Component[] = [];
  const { entry } = await bundleOperator(join(dir, 'bundle'));
  const get = async <T>(...what: string[]): Promise<T> =>
    JSON.parse(await kubectl(['get', ...what, '-o', 'json'])) as T;
  const podOf = async (workload: string, namespace: string = namespaces.system) =>
    (await get<{ spec: { template: PodTemplate } }>(workload, '-n', namespace)).spec.template;
  return {
    ...{ dir, controlPlane, helm, get, podOf },
    async process(name, more = []) {
      const { spec } = await podOf(`deployment/cloudlet-${name}`);
      const declared = spec.containers[0]?.args ?? [];
      const component = await processOf({ dir, controlPlane, entry, name, declared, more });
      started.push(component);
      return component;
    },
    async close() {
      await Promise.all(started.map((component) => component.stop()));
      await controlPlane.stop();
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

interface ProcessRequest {
  readonly dir: string;
  readonly controlPlane: EmbeddedControlPlane;
  readonly entry: string;
  readonly name: string;
  /** Arguments of the Deployment. */
  readonly declared: readonly string[];
  readonly more: readonly string[];
}

async function processOf(request: ProcessRequest): Promise<InstalledProcess> {
  const { dir, controlPlane, entry, name, declared, more } = request;
  const kubeconfig = join(dir, `${name}.kubeconfig`);
  const account = await accountKubeconfig(controlPlane, `cloudlet-${name}`, namespaces.system);
  writeFileSync(kubeconfig, account, { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  const args = declared.map((arg) =>
    arg.replace('$(POD_NAME)', `${name}-pod`).replace('$(POD_IP)', '127.0.0.1'),
  );
  const local = ['--kubeconfig', kubeconfig, '--health-listen', `127.0.0.1:${port}`];
  const health = `http://127.0.0.1:${port}`;
  const component = componentOf({
    name,
    command: process.execPath,
    args: [...nodeFlags, entry, ...args, ...local, ...more],
    env: mallocTunings,
    logFile: join(dir, `${name}.log`),
    ready: async (signal) => {
      const response = await fetch(`${health}/readyz`, { signal });
      expect(response.ok, `${name} answers ${response.status} ${await response.text()}`);
    },
    readyWithinMs: 90_000,
    stopWithinMs: 30_000,
  });
  const metrics = async (): Promise<string> => (await fetch(`${health}/metrics`)).text();
  return Object.defineProperties(component, { metrics: { value: metrics } }) as InstalledProcess;
}
