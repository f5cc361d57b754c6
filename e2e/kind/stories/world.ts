/**
 * How the stories of kind speak with the region: kubectl, its plugin and helm, as a person does; and who
 * watches that nothing lapses meanwhile.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundlePlugin } from '@cloudlet/cli/bundle';
import { type AppInst, type Cloudlet, type Condition, namespaces } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { runCommand, silentLogger, systemClock } from '@cloudlet/runtime/base';
import { createClient, createInformer } from '@cloudlet/runtime/kubernetes';
import {
  agentOn,
  cloudletReady,
  type Component,
  expect,
  type ManagedProcess,
  pushBusyboxImage,
  pushHaproxyImage,
  pushWebImage,
  startProcess,
  until,
} from '../../testbed/index.ts';
import { type KindBed, openKindBed } from '../bed.ts';

export const apiVersion = 'edge.cloudlet.dev/v1alpha1';

/** The site of phones, outside of the cluster. */
export const site = 'phones';

export interface KindWorld extends AsyncDisposable {
  readonly bed: KindBed;
  readonly images: Readonly<Record<'web1' | 'web2' | 'busybox' | 'haproxy', string>>;
  kubectl(...args: readonly string[]): Promise<string>;
  /** JSON of `kubectl get`. */
  get<T>(...what: readonly string[]): Promise<T>;
  apply(...objects: readonly object[]): Promise<void>;
  /** `kubectl cloudlet` with its arguments. */
  cloudlet(...args: readonly string[]): Promise<string>;
  /** The same, as a process that stays. */
  startCloudlet(name: string, ...args: readonly string[]): Promise<ManagedProcess>;
  applyCloudlet(name: string, platform: string): Promise<void>;
  /** Prepares the agent on the phones' manager, joined by what the plugin prints. */
  joinPhones(): Promise<Component>;
  cloudletReady(name: string): Promise<void>;
  appInstReady(name: string): Promise<AppInst>;
  /** What the cluster has to say when something went wrong. */
  diagnosis(): Promise<string>;
}

/** @throws where `npm run e2e:kind` did not start this. */
export async function openKindWorld(): Promise<KindWorld> {
  const file = process.env['CLOUDLET_KIND_BED'];
  if (!file) throw new Error('the stories of kind are run by npm run e2e:kind');
  const bed = await openKindBed(file);
  const { controlPlane, phones, dir } = bed;
  const { kubectl } = controlPlane;
  const plugin = await bundlePlugin(join(dir, 'bin', 'kubectl-cloudlet'));
  const env = { KUBECONFIG: controlPlane.kubeconfig };
  const images = await pushImages(phones.registry);
  const started: (ManagedProcess | Component)[] = [];
  const world: KindWorld = {
    ...{ bed, images },
    kubectl: (...args) => kubectl(args, { timeoutMs: 130_000 }),
    get: async <T>(...what: readonly string[]) =>
      JSON.parse(await kubectl(['get', ...what, '-o', 'json'])) as T,
    async apply(...items) {
      const list = { apiVersion: 'v1', kind: 'List', items };
      await kubectl(['apply', '-f', '-'], { input: JSON.stringify(list) });
    },
    cloudlet: async (...args) =>
      (await runCommand(process.execPath, [plugin, ...args], { env })).stdout,
    async startCloudlet(name, ...args) {
      const logFile = join(dir, 'stories', `${name}.log`);
      const command = { command: process.execPath, args: [plugin, ...args], env, logFile };
      const child = await startProcess({ name, ...command });
      started.push(child);
      return child;
    },
    applyCloudlet: (name, platform) =>
      world.apply({
        ...{ apiVersion, kind: 'Cloudlet', metadata: { name } },
        spec: { operator: 'campus', platform },
      }),
    async joinPhones() {
      const agent = await phonesAgent(world, await world.cloudlet('join', site));
      started.push(agent);
      return agent;
    },
    cloudletReady: (name) => cloudletReady(controlPlane, name),
    appInstReady: (name) => appInstReady(world, name),
    async diagnosis() {
      const everywhere = ['--all-namespaces', '--no-headers'];
      const warnings = ['events', '--field-selector=type=Warning', '--sort-by=.lastTimestamp'];
      const lines = ['-o', 'custom-columns=:.involvedObject.name,:.reason,:.message'];
      const told = [['pods'], ['cloudlets,appinsts'], [...warnings, ...lines]].map((what) =>
        world.kubectl('get', ...what, ...everywhere).catch(String),
      );
      return (await Promise.all(told)).join('\n');
    },
    async [Symbol.asyncDispose]() {
      for (const child of started) await child.stop();
    },
  };
  return world;
}

async function pushImages(registry: string): Promise<KindWorld['images']> {
  const native = { architectures: ['amd64'] } as const;
  const [web1, web2, busybox, haproxy] = [
    await pushWebImage(registry, { version: '1', ...native }),
    await pushWebImage(registry, { version: '2', ...native }),
    await pushBusyboxImage(registry, native),
    await pushHaproxyImage(registry, native),
  ].map(({ reference }) => reference);
  return { web1: web1 ?? '', web2: web2 ?? '', busybox: busybox ?? '', haproxy: haproxy ?? '' };
}

/** @param entry another program than these sources', which has no helpers: their image is of these. */
export function phonesAgent(
  { bed, images }: KindWorld,
  join_: string,
  entry?: string,
): Promise<Component> {
  const [phone] = bed.phones.phones;
  expect(phone, 'there is no phone');
  const dir = join(bed.dir, 'site');
  mkdirSync(dir, { recursive: true });
  const helpers = entry === undefined ? ['--helper-image', bed.agentImage] : [];
  const args = ['--lb-image', images.haproxy, ...helpers];
  const { controlPlane } = bed;
  const program = entry === undefined ? {} : { entry };
  return agentOn({ phone, controlPlane, cloudlet: site, dir, args, join: join_, ...program });
}

const readyOf = (object: AppInst): Condition | undefined =>
  object.status?.conditions?.find(({ type }) => type === 'Ready');

function appInstReady(world: KindWorld, name: string): Promise<AppInst> {
  return until(`AppInst ${name} to be Ready`, 90_000, async () => {
    const object = await world.get<AppInst>('appinst', name);
    const ready = readyOf(object);
    const isOfNow = ready?.observedGeneration === object.metadata.generation;
    expect(ready?.status === 'True' && isOfNow, JSON.stringify(object.status?.conditions ?? []));
    return object;
  });
}

/** One name for a workload with its instance at a site. */
export const instanceAt = (cloudlet: string, name: string, app: object): readonly object[] => [
  {
    ...{ apiVersion, kind: 'App', metadata: { name, namespace: 'default' } },
    spec: { version: '1', deployment: 'Docker', ...app },
  },
  {
    ...{ apiVersion, kind: 'AppInst', metadata: { name, namespace: 'default' } },
    spec: { appRef: { name }, cloudletRef: { name: cloudlet } },
  },
];

/** Notes every lapse of a site's Ready and Connected until the returned function is called. */
export async function watchSites({ bed }: KindWorld): Promise<() => Promise<readonly string[]>> {
  const { kubeconfig } = bed.controlPlane;
  const client = createClient({
    ...{ kubeconfig, logger: silentLogger, clock: systemClock, userAgent: 'kind-stories' },
  });
  const stop = new AbortController();
  const cloudlets = createInformer<Cloudlet>(client, resourceTypes.Cloudlet);
  const lapses: string[] = [];
  cloudlets.subscribe((event) => {
    if (event.type === 'Deleted') return;
    const { metadata, status } = event.object;
    for (const { type, status: is, reason, message } of status?.conditions ?? [])
      if (['Ready', 'Connected'].includes(type) && is !== 'True')
        lapses.push(`${metadata.name} ${type} is ${is}: ${reason}: ${message}`);
  });
  const watching = cloudlets.run(stop.signal);
  await cloudlets.synced();
  return async () => {
    stop.abort(new Error('watched long enough'));
    await Promise.allSettled([watching]);
    await client.close();
    return lapses;
  };
}

/** Writes a join where `kubectl create secret --from-file` reads it. */
export function writeJoin({ bed }: KindWorld, name: string, text: string): string {
  const folder = join(bed.dir, 'joins');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

export const system = namespaces.system;
