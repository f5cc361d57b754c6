/**
 * The region's processes beside a control plane: operator, hub and access, from the sources of this tree.
 *
 * Guarantees: each runs as its own service account with the rights that the manifests give, nothing more;
 * each is ready by its own probe; each can be killed and started again on the same ports. The hub listens on
 * one address of this host: the loopback, or the phones' bridge.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { namespaces } from '@cloudlet/crds';
import { type Component, componentOf } from '../component.ts';
import type { ControlPlane } from '../controlplane/embedded.ts';
import { freePorts, repositoryRoot } from '../host.ts';
import { expect, until } from '../process.ts';
import { noProgress, type Progress } from '../progress.ts';
import { accountKubeconfig, installAccess, installRegion, removeAccess } from './install.ts';

export interface RegionOptions {
  readonly controlPlane: ControlPlane;
  /** Holds logs and the accounts' kubeconfigs. */
  readonly dir: string;
  /** Address of this host that agents reach. @default '127.0.0.1' */
  readonly host?: string;
  /** Replicas of the hub. @default 1 */
  readonly hubs?: number;
  /** Whether the access server runs. @default true */
  readonly access?: boolean;
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
  /** More arguments of a process. */
  readonly args?: Partial<Readonly<Record<'operator' | 'hub' | 'access', readonly string[]>>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly progress?: Progress;
}

/** A process of the region, and where it tells how it is. */
export interface RegionProcess extends Component {
  /** http://host:port of /healthz, /readyz and /metrics. */
  readonly health: string;
  metrics(): Promise<string>;
}

export interface Region {
  readonly controlPlane: ControlPlane;
  readonly operator: RegionProcess;
  readonly hubs: readonly RegionProcess[];
  readonly access: RegionProcess | undefined;
  /** host:port that agents dial: of the first hub. */
  readonly hubAddress: string;
  readonly enrollAddress: string;
  stop(): Promise<void>;
}

/** Installs the region and starts its processes. */
export async function startRegion(options: RegionOptions): Promise<Region> {
  const {
    controlPlane,
    dir,
    host = '127.0.0.1',
    hubs: hubCount = 1,
    progress = noProgress,
  } = options;
  mkdirSync(dir, { recursive: true });
  await installRegion(controlPlane);
  const started: Component[] = [];
  const start = async <T extends Component>(component: T): Promise<T> => {
    started.push(component);
    await component.start();
    return component;
  };
  const stop = async (): Promise<void> => {
    if (started.some(({ name }) => name === 'access')) {
      await removeAccess(controlPlane).catch(() => progress('the access API was not taken away'));
    }
    await Promise.all(started.map((component) => component.stop()));
  };
  try {
    const [hub = 0, enroll = 0] = await freePorts(2, host);
    const hubAddress = `${host}:${hub}`;
    const enrollAddress = `${host}:${enroll}`;
    const addresses = ['--hub-address', hubAddress, '--enroll-address', enrollAddress];
    const loopback = ['127.0.0.1', 'localhost'].flatMap((name) => ['--hub-host', name]);
    const names = [...loopback, '--access-host', 'localhost'];
    const hubPorts = await Promise.all(
      Array.from({ length: hubCount }, async (_, index) =>
        index === 0 ? [hub, enroll] : freePorts(2, host),
      ),
    );
    // At once: hub and access wait for the certificates that the operator makes.
    const starting = {
      operator: processOf(options, 'operator', [...addresses, ...names]).then(start),
      hubs: Promise.all(
        hubPorts.map(async (ports, index) => start(await hubOf(options, index, host, ports))),
      ),
      access: options.access === false ? Promise.resolve(undefined) : startAccess(options, start),
    };
    // A failure is told when all have ended, so that nothing is started behind the stop.
    await Promise.allSettled([starting.operator, starting.hubs, starting.access]);
    const operator = await starting.operator;
    const hubs = await starting.hubs;
    const access = await starting.access;
    progress(
      `operator, ${hubCount} hub${hubCount > 1 ? 's' : ''}${access ? ' and access' : ''} run`,
    );
    return { controlPlane, operator, hubs, access, hubAddress, enrollAddress, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function hubOf(
  options: RegionOptions,
  index: number,
  host: string,
  [hub = 0, enroll = 0]: readonly number[],
): Promise<RegionProcess> {
  const [session = 0] = await freePorts(1);
  const name = `hub-${index + 1}`;
  return processOf(
    options,
    'hub',
    [
      ...['--name', name, '--listen', `${host}:${hub}`, '--enroll-listen', `${host}:${enroll}`],
      ...['--session-listen', `127.0.0.1:${session}`, '--session-address', `127.0.0.1:${session}`],
    ],
    name,
  );
}

async function startAccess(
  options: RegionOptions,
  start: (component: RegionProcess) => Promise<RegionProcess>,
): Promise<RegionProcess | undefined> {
  const source = join(repositoryRoot, 'operator', 'src', 'access', 'main.ts');
  if (!existsSync(source)) return undefined;
  const [port = 0] = await freePorts(1);
  const access = await start(await processOf(options, 'access', ['--listen', `127.0.0.1:${port}`]));
  await installAccess(options.controlPlane, port);
  await until('the API server to reach the access server', 60_000, async (signal) => {
    const path = '/apis/access.edge.cloudlet.dev/v1alpha1';
    await options.controlPlane.kubectl(['get', '--raw', path], { signal });
  });
  return access;
}

async function processOf(
  options: RegionOptions,
  kind: 'operator' | 'hub' | 'access',
  args: readonly string[],
  name: string = kind,
): Promise<RegionProcess> {
  const { controlPlane, dir, logLevel = 'info' } = options;
  const kubeconfig = join(dir, `${kind}.kubeconfig`);
  const account = await accountKubeconfig(controlPlane, `cloudlet-${kind}`, namespaces.system);
  writeFileSync(kubeconfig, account, { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  const health = `http://127.0.0.1:${port}`;
  const component = componentOf({
    name,
    command: process.execPath,
    args: [
      join(repositoryRoot, 'operator', 'src', 'main.ts'),
      kind,
      ...['--kubeconfig', kubeconfig, '--health-listen', `127.0.0.1:${port}`],
      ...['--log-level', logLevel],
      ...args,
      ...(options.args?.[kind] ?? []),
    ],
    ...(options.env && { env: options.env }),
    logFile: join(dir, `${name}.log`),
    ready: async (signal) => {
      const response = await fetch(`${health}/readyz`, { signal });
      expect(response.ok, `${name} answers ${response.status} ${await response.text()}`);
    },
    readyWithinMs: 90_000,
    stopWithinMs: 30_000,
  });
  const metrics = async (): Promise<string> => (await fetch(`${health}/metrics`)).text();
  return Object.defineProperties(component, {
    health: { value: health },
    metrics: { value: metrics },
  }) as RegionProcess;
}
