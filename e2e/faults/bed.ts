/**
 * The fault bed: an API server with etcd, two operators, two hubs, and hollow sites whose agents are real and
 * whose platforms write down all that they do.
 *
 * Guarantees: what ends by itself is started again as a cluster would do it, unless a fault holds it; the
 * platforms of sites outlive their agents' processes.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type AppInst, type CloudletLedger, groupVersion } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { bundleOperator } from '@cloudlet/operator/bundle';
import { describeError, runCommand, systemClock } from '@cloudlet/runtime/base';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import {
  type Component,
  type EmbeddedControlPlane,
  type Progress,
  type Region,
  startControlPlane,
  startRegion,
} from '../testbed/index.ts';
import { type HollowSites, startHollowSites } from '../scale/hollow.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import { type Watching, watching } from '../scale/watching.ts';
import { collideIn } from './fault.ts';
import { History } from './history.ts';

export interface FaultBedOptions {
  readonly sites: number;
  readonly perProcess: number;
  /** Whether there is an access server too. @default false */
  readonly access?: boolean;
  /** Address of this host that agents reach. @default '127.0.0.1' */
  readonly host?: string;
  /** More environment of the region's processes and of the hollow sites. */
  readonly env?: Readonly<Record<string, string>>;
  readonly apiserverFlags?: readonly string[];
  /** Holds logs, data and journals. */
  readonly dir: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export interface FaultBed extends AsyncDisposable {
  readonly controlPlane: EmbeddedControlPlane;
  readonly region: Region;
  readonly hollow: HollowSites;
  readonly client: KubernetesClient;
  readonly appInsts: Watching<AppInst>;
  readonly ledgers: Watching<CloudletLedger>;
  readonly history: History;
  /** Parts of the region that faults are done to, by name. */
  readonly parts: ReadonlyMap<string, Component>;
  /** While this is held nobody else starts the part. */
  hold(part: string): Disposable;
  /** Resolves when nothing else is done to the target, nor to what it shares a process with. */
  turn(target: string): Promise<AsyncDisposable>;
  /** State folders on disks of their own, so small that they can be filled, by site; none without root. */
  readonly smallDisks: ReadonlyMap<string, string>;
  /** Socket that sets the clock of a process of the region; of its last start. */
  clockOf(part: string): string;
  /** Of the control plane's data and of the region's logs. */
  readonly dir: string;
}

export const namespace = 'default';
export const zoneName = 'zone';
const superviseMs = 1_000;

export async function openFaultBed(options: FaultBedOptions): Promise<FaultBed> {
  const { dir, progress, signal } = options;
  await using stack = new AsyncDisposableStack();
  const { apiserverFlags = [], env = {} } = options;
  const clocks = join(dir, 'clocks');
  await mkdir(clocks, { recursive: true });
  const controlPlane = await startControlPlane({
    ...{ dir: join(dir, 'controlplane'), apiserverFlags, progress },
  });
  stack.defer(() => controlPlane.stop());
  const { entry } = await bundleOperator(join(dir, 'bundle'));
  const region = await startRegion({
    ...{ controlPlane, dir: join(dir, 'region'), progress, entry },
    env: { ...env, ...clockEnvironment(clocks, env) },
    ...{ access: options.access ?? false, host: options.host ?? '127.0.0.1' },
    replicas: { operator: 2, hub: 2 },
    logLevel: 'info',
  });
  stack.defer(() => region.stop());
  // Nobody is served any more: no need to let sites move in their time.
  stack.defer(async () => void (await Promise.all(region.hubs.map((hub) => hub.kill()))));
  await makeZone(controlPlane);
  const journals = join(dir, 'journals');
  await mkdir(journals, { recursive: true });
  stack.defer(() => rm(journals, { recursive: true, force: true }));
  const hollow = await startHollowSites({
    ...{ region, dir, signal, progress, count: options.sites, perProcess: options.perProcess },
    ...{ prefix: 'site', enrol: 'joined', start: false, env },
    platform: { journals, logLevel: 'info' },
    spec: { zoneRef: { name: zoneName } },
  });
  stack.use(hollow);
  const smallDisks = await giveSmallDisks(hollow, stack);
  await hollow.start();
  await hollow.connected();
  const { client } = hollow;
  const appInsts = await watching<AppInst>(client, resourceTypes.AppInst, { signal });
  stack.use(appInsts);
  const ledgers = await watching<CloudletLedger>(client, resourceTypes.CloudletLedger, { signal });
  stack.use(ledgers);
  const history = new History(journals, hollow.names);
  const all = [...region.operators, ...region.hubs];
  const { etcd, apiserver, controllerManager } = controlPlane;
  const parts = new Map<string, Component>([
    ...all.map((part) => [part.name, part] as const),
    ...([etcd, apiserver, controllerManager] as const).map((part) => [part.name, part] as const),
  ]);
  const held = new Set<string>();
  const supervisor = supervise(parts, held, history, signal);
  stack.defer(() => supervisor.stop());
  const owned = stack.move();
  return {
    ...{ controlPlane, region, hollow, client, appInsts, ledgers, history, parts, smallDisks, dir },
    clockOf: (part) => join(clocks, `${parts.get(part)?.pid ?? ''}.sock`),
    hold(part) {
      held.add(part);
      return { [Symbol.dispose]: () => void held.delete(part) };
    },
    turn: turnsBy(collideIn(hollow.together)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Those who wait get their turns in the order in which they came. */
function turnsBy(
  collide: (one: string, other: string) => boolean,
): (target: string) => Promise<AsyncDisposable> {
  const taken: { readonly target: string; readonly over: Promise<void> }[] = [];
  return async (target) => {
    const before = taken.filter((one) => collide(one.target, target)).map(({ over }) => over);
    const { promise, resolve } = Promise.withResolvers<void>();
    const turn = { target, over: promise };
    taken.push(turn);
    await Promise.all(before);
    return {
      async [Symbol.asyncDispose]() {
        taken.splice(taken.indexOf(turn), 1);
        resolve();
      },
    };
  };
}

const smallDiskSites = 3;
const smallDiskSize = '1m';

/** The first sites get state folders in memory of a fixed size. */
async function giveSmallDisks(
  hollow: HollowSites,
  stack: AsyncDisposableStack,
): Promise<ReadonlyMap<string, string>> {
  const disks = new Map<string, string>();
  if (process.getuid?.() !== 0) return disks;
  for (const name of hollow.names.slice(0, smallDiskSites)) {
    const setup = hollow.setups.get(name);
    if (!setup) continue;
    const { folder, joinFile } = setup;
    const joined = await readFile(joinFile);
    const options = ['-t', 'tmpfs', '-o', `size=${smallDiskSize},mode=0700`, 'tmpfs', folder];
    await runCommand('mount', options);
    // Its process may be killed later than this; a lazy unmount does not mind.
    stack.defer(async () => void (await runCommand('umount', ['--lazy', folder])));
    await writeFile(joinFile, joined, { mode: 0o600 });
    disks.set(name, folder);
  }
  return disks;
}

/** Beside what somebody else loads into the same processes. */
function clockEnvironment(
  folder: string,
  env: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const program = fileURLToPath(new URL('./clock.mjs', import.meta.url));
  const options = [env['NODE_OPTIONS'] ?? '', `--import ${program}`].join(' ').trim();
  return { NODE_OPTIONS: options, CLOUDLET_CLOCKS: folder };
}

async function makeZone({ kubectl }: EmbeddedControlPlane): Promise<void> {
  const zone = {
    ...{ apiVersion: groupVersion, kind: 'Zone', metadata: { name: zoneName } },
    spec: { operator: 'hollow' },
  };
  await kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(zone) });
}

/** Starts what ended and no fault holds, as kubelet and systemd do. */
function supervise(
  parts: ReadonlyMap<string, Component>,
  held: ReadonlySet<string>,
  history: History,
  signal: AbortSignal,
): { stop(): Promise<void> } {
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  const watch = async (name: string, part: Component): Promise<void> => {
    while (!ended.aborted) {
      if (!part.running && !held.has(name)) {
        history.note(machineMs(), `${name} ended by itself and is started again`);
        await part.start().catch((error: unknown) => {
          history.note(machineMs(), `${name} did not start: ${describeError(error)}`);
        });
      }
      await systemClock.sleep(superviseMs, ended).catch(() => undefined); // the loop sees the abort
    }
  };
  const watches = Promise.all([...parts].map(([name, part]) => watch(name, part)));
  return {
    async stop() {
      stop.abort(new Error('nobody supervises any more'));
      await watches;
    },
  };
}
