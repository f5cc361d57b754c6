/**
 * A whole world for one file of stories: a control plane of its own, the region's processes, a swarm of
 * phones and its agents. Stories speak kubectl and HTTP, as people and devices do.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AppInst, AppSpec, AppInstSpec, CloudletSpec } from '@cloudlet/crds';
import { runCommand } from '@cloudlet/runtime/base';
import {
  type EmbeddedControlPlane,
  expect,
  formSwarm,
  type Phone,
  type Phones,
  startPhones,
  pushAgentImage,
  pushHaproxyImage,
  pushNginxImage,
  type Region,
  repositoryRoot,
  type Site,
  startControlPlane,
  startRegion,
  startSite,
  until,
} from '../testbed/index.ts';

export interface World extends AsyncDisposable {
  readonly controlPlane: EmbeddedControlPlane;
  readonly phones: Phones;
  readonly region: Region;
  readonly site: Site;
  readonly managers: readonly Phone[];
  apply(...objects: readonly object[]): Promise<void>;
  appInst(name: string): Promise<AppInst>;
  waitReady(name: string, seconds?: number): Promise<AppInst>;
  /** kubectl with its arguments. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** `kubectl cloudlet` with its arguments, as a program of its own. */
  cloudlet(...args: readonly string[]): Promise<string>;
}

export interface WorldOptions {
  /** @default 3 */
  readonly phones?: number;
  /** @default 1 */
  readonly managers?: number;
  /** Whether each phone gets a helper, so that exec reaches them all. @default false */
  readonly helpers?: boolean;
  /** Names the phones. @default 'wphone' */
  readonly prefix?: string;
  /** First three numbers of the phones' /24. @default '10.79.2' */
  readonly net?: string;
  /** Whether the API server keeps an audit log. @default false */
  readonly audit?: boolean;
  /** More of the Cloudlet. */
  readonly spec?: Partial<CloudletSpec>;
}

export const cloudletName = 'phones';

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const {
    phones: count = 3,
    managers: managerCount = 1,
    prefix = 'wphone',
    net = '10.79.2',
  } = options;
  await using stack = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'world-'));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  const controlPlane = await startControlPlane({
    dir: join(dir, 'control-plane'),
    audit: options.audit ?? false,
  });
  stack.defer(() => controlPlane.stop());
  const phones = await startPhones({ count, prefix, net });
  stack.defer(() => phones.stop());
  await formSwarm(phones.phones, { managers: managerCount });
  const native = { architectures: ['amd64'] } as const;
  const haproxy = await pushHaproxyImage(phones.registry, native);
  const nginx = await pushNginxImage(phones.registry, native);
  const helper = options.helpers ? (await pushAgentImage(phones.registry)).reference : 'none';
  const region = await startRegion({
    controlPlane,
    dir: join(dir, 'region'),
    host: phones.hostIp,
  });
  stack.defer(() => region.stop());
  const managers = phones.phones.slice(0, managerCount);
  const site = await startSite({
    controlPlane,
    cloudlet: cloudletName,
    phones: managers,
    dir: join(dir, 'site'),
    args: [
      ...['--lb-image', haproxy.reference, '--lb-udp-image', nginx.reference],
      ...['--helper-image', helper],
    ],
    ...(options.spec ? { spec: options.spec } : {}),
  });
  stack.defer(() => site.stop());
  const owned = stack.move();
  return {
    controlPlane,
    phones,
    region,
    site,
    managers,
    ...verbsOf(controlPlane),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function verbsOf({
  kubectl,
  kubeconfig,
}: EmbeddedControlPlane): Pick<World, 'apply' | 'appInst' | 'waitReady' | 'kubectl' | 'cloudlet'> {
  const appInst = async (name: string): Promise<AppInst> =>
    JSON.parse(await kubectl(['get', 'appinst', name, '-o', 'json'])) as AppInst;
  return {
    kubectl: (...args) => kubectl(args),
    async cloudlet(...args) {
      const plugin = join(repositoryRoot, 'cli/src/main.ts');
      const env = { KUBECONFIG: kubeconfig };
      return (await runCommand(process.execPath, [plugin, ...args], { env })).stdout;
    },
    async apply(...items) {
      const list = { apiVersion: 'v1', kind: 'List', items };
      await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
    },
    appInst,
    async waitReady(name, seconds = 60) {
      return until(`AppInst ${name} to be Ready`, seconds * 1000, async () => {
        const object = await appInst(name);
        const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
        expect(
          ready?.status === 'True' && ready.observedGeneration === object.metadata.generation,
          JSON.stringify(object.status?.conditions ?? 'no status'),
        );
        return object;
      });
    },
  };
}

const apiVersion = 'edge.cloudlet.dev/v1alpha1';

/** A web App with one HTTP port. */
export const webApp = (name: string, image: string, spec: Partial<AppSpec> = {}): object => ({
  apiVersion,
  kind: 'App',
  metadata: { name, namespace: 'default' },
  spec: {
    version: '1',
    deployment: 'Docker',
    image,
    ports: [
      {
        name: 'http',
        protocol: 'HTTP',
        port: 8080,
        healthCheck: { type: 'HTTP', path: '/healthz' },
      },
    ],
    ...spec,
  },
});

/** An instance of an App at the site of phones. */
export const instanceOf = (name: string, app: string, spec: Partial<AppInstSpec> = {}): object => ({
  apiVersion,
  kind: 'AppInst',
  metadata: { name, namespace: 'default' },
  spec: { appRef: { name: app }, cloudletRef: { name: cloudletName }, ...spec },
});

/** The URL of an instance's port at one address of the site. */
export function urlAt(appInst: AppInst, host: string, port = 'http'): string {
  const publicPort = appInst.status?.ports?.find(({ name }) => name === port)?.publicPort;
  expect(publicPort, `no public port ${port} in ${JSON.stringify(appInst.status?.ports)}`);
  return `http://${host}:${publicPort}/`;
}

export async function fetchText(url: string, timeoutMs = 5_000): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  const text = await response.text();
  expect(response.ok, `${url} answers ${response.status}: ${text}`);
  return text;
}

export interface Hammered {
  readonly requests: number;
  readonly failures: readonly string[];
  readonly answers: ReadonlySet<string>;
}

/** Sends requests, each on a connection of its own, until the returned function is called. */
export function hammer(url: string, parallel = 4): () => Promise<Hammered> {
  let isOn = true;
  let requests = 0;
  const failures: string[] = [];
  const answers = new Set<string>();
  const worker = async (): Promise<void> => {
    while (isOn) {
      requests++;
      try {
        const response = await fetch(url, {
          headers: { connection: 'close' },
          signal: AbortSignal.timeout(10_000),
        });
        const text = await response.text();
        if (response.ok) answers.add(text.split(' on ')[0]?.trim() ?? '');
        else failures.push(`${response.status} ${text.slice(0, 100)}`);
      } catch (error) {
        failures.push(String((error as Error).cause ?? error));
      }
    }
  };
  const workers = Array.from({ length: parallel }, worker);
  return async () => {
    isOn = false;
    await Promise.all(workers);
    return { requests, failures, answers };
  };
}

/** Ids of the running containers of a stack on some phones. */
export async function containersOf(phones: readonly Phone[], stack: string): Promise<string[]> {
  const lists = await Promise.all(
    phones.map((phone) =>
      phone.docker([
        ...['ps', '--no-trunc', '--quiet'],
        ...['--filter', `label=com.docker.stack.namespace=${stack}`],
      ]),
    ),
  );
  return lists.flatMap((list) => list.split('\n').filter(Boolean)).sort();
}
