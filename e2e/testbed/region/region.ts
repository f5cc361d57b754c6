/**
 * The region's processes beside a control plane: operator, hub and access, from the sources of this tree.
 *
 * Guarantees: each runs as its own service account with the rights that the manifests give, nothing more;
 * each is ready by its own probe; each can be killed and started again on the same ports. The hub listens on
 * one address of this host: the loopback, or the phones' bridge.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { namespaces } from '@cloudlet/crds';
import { mallocTunings, nodeFlags } from '@cloudlet/operator/launch';
import { type Component, componentOf } from '../component.ts';
import type { ControlPlane } from '../controlplane/embedded.ts';
import { freePorts, repositoryRoot } from '../host.ts';
import { expect, until } from '../process.ts';
import { noProgress, type Progress } from '../progress.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import {
  accountKubeconfig,
  finalizerInForce,
  installAccess,
  installRegion,
  removeAccess,
} from './install.ts';

export type RegionPart = 'operator' | 'hub' | 'access';

export interface RegionOptions {
  readonly controlPlane: ControlPlane;
  /** Holds logs and the accounts' kubeconfigs. */
  readonly dir: string;
  /** Address of this host that agents reach. @default '127.0.0.1' */
  readonly host?: string;
  /** @default 1 of each */
  readonly replicas?: Partial<Readonly<Record<RegionPart, number>>>;
  /** Whether the access server runs. @default true */
  readonly access?: boolean;
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
  /** More arguments of a process. */
  readonly args?: Partial<Readonly<Record<RegionPart, readonly string[]>>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Program of the processes. @default the sources */
  readonly entry?: string;
  readonly progress?: Progress;
}

/** A process of the region, and where it tells how it is. */
export interface RegionProcess extends Component {
  /** http://host:port of /healthz, /readyz and /metrics. */
  readonly health: string;
  /** Throws while it is not ready. */
  readonly ready: (signal: AbortSignal) => Promise<void>;
  metrics(): Promise<string>;
}

export interface Region {
  readonly controlPlane: ControlPlane;
  /** The first replica. */
  readonly operator: RegionProcess;
  readonly operators: readonly RegionProcess[];
  readonly hubs: readonly RegionProcess[];
  /** The first replica. */
  readonly access: RegionProcess | undefined;
  readonly accesses: readonly RegionProcess[];
  /** host:port that agents dial: of the one hub, or of what stands before several. */
  readonly hubAddress: string;
  readonly enrollAddress: string;
  stop(): Promise<void>;
}

/** Installs the region and starts its processes. */
export async function startRegion(options: RegionOptions): Promise<Region> {
  const { controlPlane, dir, host = '127.0.0.1', progress = noProgress } = options;
  mkdirSync(dir, { recursive: true });
  await installRegion(controlPlane);
  const bed = new RegionBed(options);
  try {
    const [hub = 0, enroll = 0] = await freePorts(2, host);
    const hubAddress = `${host}:${hub}`;
    const enrollAddress = `${host}:${enroll}`;
    const addresses = ['--hub-address', hubAddress, '--enroll-address', enrollAddress];
    const loopback = ['127.0.0.1', 'localhost'].flatMap((name) => ['--hub-host', name]);
    const operatorArgs = [...addresses, ...loopback, '--access-host', 'localhost'];
    // At once: hub and access wait for the certificates that the operator makes.
    const starting = {
      operators: bed.startAll('operator', async () => ({ args: operatorArgs })),
      hubs: startHubs(bed, host, [hub, enroll]),
      accesses: options.access === false ? Promise.resolve([]) : startAccess(bed),
      finalizer: finalizerInForce(controlPlane),
    };
    // A failure is told when all have ended, so that nothing is started behind the stop.
    await Promise.allSettled(Object.values(starting));
    const operators = await starting.operators;
    const hubs = await starting.hubs;
    const accesses = await starting.accesses;
    await starting.finalizer;
    const [operator] = operators;
    expect(operator, 'a region without an operator is none');
    const count = (what: string, { length }: readonly unknown[]): string => `${length} ${what}`;
    progress(
      `${[count('operator', operators), count('hub', hubs), count('access', accesses)].join(', ')} run`,
    );
    return {
      ...{ controlPlane, operator, operators, hubs, accesses, hubAddress, enrollAddress },
      access: accesses[0],
      stop: () => bed.stop(),
    };
  } catch (error) {
    await bed.stop();
    throw error;
  }
}

interface Replica {
  readonly args: readonly string[];
  /** What it listens on, behind the balancers of its part. */
  readonly ports?: readonly number[];
}

/** What was started, in order to be stopped. */
class RegionBed {
  readonly options: RegionOptions;
  readonly #started: Component[] = [];
  readonly #balancers: Balancer[] = [];

  constructor(options: RegionOptions) {
    this.options = options;
  }

  countOf(part: RegionPart): number {
    return this.options.replicas?.[part] ?? 1;
  }

  /** Starts every replica of a part, and what stands before them on `front` when they are several. */
  async startAll(
    part: RegionPart,
    replicaOf: (index: number) => Promise<Replica>,
    { host = '127.0.0.1', front = [] }: { host?: string; front?: readonly number[] } = {},
  ): Promise<readonly RegionProcess[]> {
    const count = this.countOf(part);
    const replicas = await Promise.all(Array.from({ length: count }, (_, each) => replicaOf(each)));
    const processes = await Promise.all(
      replicas.map(({ args }, index) => {
        const isNumbered = part === 'hub' || count > 1;
        return processOf(this.options, part, args, isNumbered ? `${part}-${index + 1}` : part);
      }),
    );
    this.#started.push(...processes);
    if (count > 1)
      for (const [index, port] of front.entries()) {
        const targets = processes.map(({ ready }, each) => ({
          ...{ ready, port: replicas[each]?.ports?.[index] ?? 0 },
        }));
        this.#balancers.push(await startBalancer(host, port, targets));
      }
    await Promise.all(processes.map((process) => process.start()));
    return processes;
  }

  async stop(): Promise<void> {
    const { controlPlane, progress = noProgress } = this.options;
    if (this.#started.some(({ name }) => name.startsWith('access')))
      await removeAccess(controlPlane).catch(() => progress('the access API was not taken away'));
    await Promise.all(this.#started.map((component) => component.stop()));
    await Promise.all(this.#balancers.map((balancer) => balancer.close()));
  }
}

async function startHubs(
  bed: RegionBed,
  host: string,
  front: readonly number[],
): Promise<readonly RegionProcess[]> {
  const replicaOf = async (index: number): Promise<Replica> => {
    const ports = bed.countOf('hub') > 1 ? await freePorts(2, host) : front;
    const [hub, enroll] = ports.map((port) => `${host}:${port}`);
    const [session = 0] = await freePorts(1);
    const internal = `127.0.0.1:${session}`;
    return {
      ports,
      args: [
        ...['--name', `hub-${index + 1}`, '--listen', `${hub}`, '--enroll-listen', `${enroll}`],
        ...['--session-listen', internal, '--session-address', internal],
      ],
    };
  };
  return bed.startAll('hub', replicaOf, { host, front });
}

async function startAccess(bed: RegionBed): Promise<readonly RegionProcess[]> {
  const { controlPlane } = bed.options;
  const [front = 0] = await freePorts(1);
  const replicaOf = async (): Promise<Replica> => {
    const [port = 0] = bed.countOf('access') > 1 ? await freePorts(1) : [front];
    return { ports: [port], args: ['--listen', `127.0.0.1:${port}`] };
  };
  const accesses = await bed.startAll('access', replicaOf, { front: [front] });
  await installAccess(controlPlane, front);
  await until('the API server to reach the access server', 60_000, async (signal) => {
    const path = '/apis/access.edge.cloudlet.dev/v1alpha1';
    await controlPlane.kubectl(['get', '--raw', path], { signal });
  });
  return accesses;
}

async function processOf(
  options: RegionOptions,
  kind: RegionPart,
  args: readonly string[],
  name: string,
): Promise<RegionProcess> {
  const { controlPlane, dir, logLevel = 'info' } = options;
  const kubeconfig = join(dir, `${name}.kubeconfig`);
  const account = await accountKubeconfig(controlPlane, `cloudlet-${kind}`, namespaces.system);
  writeFileSync(kubeconfig, account, { mode: 0o600 });
  const [port = 0] = await freePorts(1);
  const health = `http://127.0.0.1:${port}`;
  const ready = async (signal: AbortSignal): Promise<void> => {
    const response = await fetch(`${health}/readyz`, { signal });
    expect(response.ok, `${name} answers ${response.status} ${await response.text()}`);
  };
  const component = componentOf({
    name,
    command: process.execPath,
    args: [
      ...nodeFlags,
      options.entry ?? join(repositoryRoot, 'operator', 'src', 'main.ts'),
      kind,
      ...['--kubeconfig', kubeconfig, '--health-listen', `127.0.0.1:${port}`],
      ...['--log-level', logLevel],
      ...args,
      ...(options.args?.[kind] ?? []),
    ],
    env: { ...mallocTunings, ...options.env },
    logFile: join(dir, `${name}.log`),
    ready,
    readyWithinMs: 90_000,
    stopWithinMs: 30_000,
  });
  const metrics = async (): Promise<string> => (await fetch(`${health}/metrics`)).text();
  return Object.defineProperties(component, {
    health: { value: health },
    ready: { value: ready },
    metrics: { value: metrics },
  }) as RegionProcess;
}
