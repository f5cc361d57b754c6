/**
 * Hollow sites: the agent as it is, many in a process, on platforms in memory, against a real region.
 *
 *   await using sites = await startHollowSites({ region, count: 1000, dir, signal });
 *   await sites.cut(sites.names.slice(0, 500));
 *   await sites.heal();
 *
 * Guarantees: each site has its own key, certificate, state folder and TLS connection; what its platform ran
 * is counted over all lives of its agent, so `counts().started` tells whether anything restarted; everything
 * ends with `stop`, and with the process that started it.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cloudlet, CloudletSpec } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import { createClient, type KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { expect, noProgress, type Progress, type Region, until } from '../testbed/index.ts';
import { prepareSites } from './hollow-enrol.ts';
import type {
  Cut,
  HollowCounts,
  HollowSnapshot,
  Routes,
  SiteAction,
  SiteSetup,
  Spoil,
  WorkerEvent,
  WorkerSetup,
} from './hollow-messages.ts';
import { type HollowProcess, startHollowProcess } from './hollow-process.ts';
import { type Watching, watching } from './watching.ts';

export interface HollowOptions {
  readonly region: Pick<Region, 'controlPlane'>;
  readonly count: number;
  /** Holds the logs of the processes. */
  readonly dir: string;
  readonly signal: AbortSignal;
  /** Sites are `<prefix>-0001` and on. @default 'hollow' */
  readonly prefix?: string;
  /** @default 250 */
  readonly perProcess?: number;
  /** `joined` enrols as an agent does; `minted` makes the certificates here, which is faster. @default 'minted' */
  readonly enrol?: 'minted' | 'joined';
  /** Whether links pass a relay that can cut them; without it agents dial by themselves. @default true */
  readonly relay?: boolean;
  /** Instead of the hub's addresses, such as those of a proxy. */
  readonly via?: { readonly hub?: string; readonly enroll?: string };
  readonly spec?: Partial<CloudletSpec>;
  readonly platform?: Partial<
    Pick<WorkerSetup, 'callMs' | 'startMs' | 'nodes' | 'journals' | 'logLevel'>
  >;
  /** More environment of the processes. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether agents are started, and waited for until all are connected. @default true */
  readonly start?: boolean;
  readonly progress?: Progress;
}

export interface HollowSites extends AsyncDisposable {
  readonly names: readonly string[];
  readonly setups: ReadonlyMap<string, SiteSetup>;
  readonly processes: readonly HollowProcess[];
  /** An administrator's. */
  readonly client: KubernetesClient;
  readonly cloudlets: Watching<Cloudlet>;
  /** Starts agents; all unless named. */
  start(names?: readonly string[]): Promise<void>;
  /** Ends agents in order; platforms stay. */
  stop(names?: readonly string[]): Promise<void>;
  /** @param how default 'silent': nothing passes, and nobody is told. */
  cut(names?: readonly string[], how?: Cut): Promise<void>;
  heal(names?: readonly string[]): Promise<void>;
  /** Ends connections; the agents dial again. */
  drop(names?: readonly string[]): Promise<void>;
  /** Does something to the connections that are there; later ones are well. */
  spoil(names: readonly string[], how: Spoil): Promise<void>;
  /** Kills the process that has a site, and with it the agents of all sites that it has. */
  crash(name: string): Promise<void>;
  /** Starts a process that was killed, and the agents of its sites; platforms are as their journals say. */
  revive(name: string): Promise<void>;
  /** The sites that share a process with one, itself included. */
  readonly together: (name: string) => readonly string[];
  /** The process of a site. */
  processOf(name: string): HollowProcess;
  /** A copy of a site comes, or goes; then what it removed at its own platform, by id. */
  twin(name: string, on: boolean): Promise<readonly string[]>;
  /** Where new connections to an address go. */
  route(routes: Routes): Promise<void>;
  act(name: string, action: SiteAction): Promise<void>;
  /** Has plans and changes told to subscribers; links are always told. */
  watch(on: boolean): Promise<void>;
  subscribe(listener: (event: WorkerEvent) => void): () => void;
  counts(): Promise<HollowCounts>;
  snapshots(names?: readonly string[]): Promise<readonly HollowSnapshot[]>;
  /** Resolves when so many agents are connected, all unless told. */
  connected(count?: number, deadlineMs?: number): Promise<void>;
}

export async function startHollowSites(options: HollowOptions): Promise<HollowSites> {
  const { region, count, signal, prefix = 'hollow', progress = noProgress } = options;
  await using stack = new AsyncDisposableStack();
  const names = Array.from(
    { length: count },
    (_, i) => `${prefix}-${String(i + 1).padStart(4, '0')}`,
  );
  const client = createClient({
    kubeconfig: region.controlPlane.kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'cloudlet-scale',
    connections: 16,
  });
  stack.defer(() => client.close());
  const cloudlets = await watching<Cloudlet>(client, resourceTypes.Cloudlet, { signal });
  stack.use(cloudlets);
  const states = await stateFolder(prefix);
  stack.defer(() => rm(states, { recursive: true, force: true }));
  const how = options.enrol ?? 'minted';
  const setups = await prepareSites({
    ...{ client, cloudlets, names, dir: states, how, signal },
    spec: options.spec ?? {},
    via: options.via ?? {},
  });
  progress(`${count} Cloudlets are there${how === 'minted' ? ', their certificates made' : ''}`);
  const crew = await startCrew(options, setups);
  stack.defer(() => crew.end());
  const sites = hollowSites(crew, { names, setups, client, cloudlets, signal });
  if (options.start !== false) {
    await sites.start();
    await sites.connected();
    progress(`${count} agents in ${crew.processes.length} processes are connected`);
  }
  const owned = stack.move();
  return { ...sites, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** In memory where the machine has such a folder: the disk of one machine is not that of a thousand sites. */
async function stateFolder(prefix: string): Promise<string> {
  const memory = '/dev/shm';
  const base = existsSync(memory) ? memory : tmpdir();
  await mkdir(base, { recursive: true });
  return mkdtemp(join(base, `cloudlet-${prefix}-`));
}

interface Crew {
  readonly processes: readonly HollowProcess[];
  /** The sites of each process. */
  readonly shares: readonly (readonly SiteSetup[])[];
  readonly listeners: Set<(event: WorkerEvent) => void>;
  readonly setup: WorkerSetup;
  end(): Promise<void>;
}

async function startCrew(options: HollowOptions, setups: readonly SiteSetup[]): Promise<Crew> {
  const { dir, perProcess = 250, platform = {}, relay = true } = options;
  const listeners = new Set<(event: WorkerEvent) => void>();
  const shares = Array.from({ length: Math.ceil(setups.length / perProcess) }, (_, index) =>
    setups.slice(index * perProcess, (index + 1) * perProcess),
  );
  const onEvents = (events: readonly WorkerEvent[]): void => {
    for (const event of events) for (const listener of listeners) listener(event);
  };
  const processes = shares.map((_, index) =>
    startHollowProcess({
      logFile: join(dir, `${options.prefix ?? 'hollow'}-${index + 1}.log`),
      env: options.env ?? {},
      onEvents,
    }),
  );
  const setup = { relay, callMs: [5, 20], startMs: [50, 200], nodes: 3, ...platform } as const;
  await Promise.all(processes.map((worker) => worker.call('setup', setup)));
  const end = async (): Promise<void> => {
    await Promise.all(processes.map((worker) => worker.kill()));
  };
  return { processes, shares, listeners, setup, end };
}

interface Parts {
  readonly names: readonly string[];
  readonly setups: readonly SiteSetup[];
  readonly client: KubernetesClient;
  readonly cloudlets: Watching<Cloudlet>;
  readonly signal: AbortSignal;
}

function hollowSites(crew: Crew, parts: Parts): Omit<HollowSites, typeof Symbol.asyncDispose> {
  const { processes, shares, listeners } = crew;
  const { names, client, cloudlets, signal } = parts;
  const shareOf = (name: string): readonly SiteSetup[] =>
    shares.find((share) => share.some((setup) => setup.name === name)) ?? [];
  const homes = new Map(
    shares.flatMap((share, index) =>
      share.map(({ name }) => [name, processes[index] as HollowProcess]),
    ),
  );
  const homeOf = (name: string): HollowProcess => {
    const home = homes.get(name);
    expect(home, `there is no hollow site ${name}`);
    return home;
  };
  const setups = new Map(parts.setups.map((setup) => [setup.name, setup]));
  /** Each process with those of the named sites that it has. */
  const each = <T>(
    chosen: readonly string[],
    action: (worker: HollowProcess, own: readonly string[]) => Promise<T>,
  ): Promise<T[]> => {
    const by = Map.groupBy(chosen, homeOf);
    return Promise.all([...by].map(([worker, own]) => action(worker, own)));
  };
  const done = async (all: Promise<unknown>): Promise<void> => void (await all);
  const counts = async (): Promise<HollowCounts> =>
    (await Promise.all(processes.map((worker) => worker.call('counts')))).reduce(sumOf);
  return {
    ...{ names, setups, processes, client, cloudlets, counts },
    start: (chosen = names) =>
      done(
        each(chosen, (worker, own) =>
          worker.call(
            'start',
            own.flatMap((name) => setups.get(name) ?? []),
          ),
        ),
      ),
    stop: (chosen = names) => done(each(chosen, (worker, own) => worker.call('stop', own))),
    cut: (chosen = names, how = 'silent') =>
      done(each(chosen, (worker, own) => worker.call('cut', own, how))),
    heal: (chosen = names) => done(each(chosen, (worker, own) => worker.call('heal', own))),
    drop: (chosen = names) => done(each(chosen, (worker, own) => worker.call('drop', own))),
    spoil: (chosen, how) => done(each(chosen, (worker, own) => worker.call('spoil', own, how))),
    crash: (name) => homeOf(name).kill(),
    async revive(name) {
      const home = homeOf(name);
      home.restart();
      await home.call('setup', crew.setup);
      await home.call('start', shareOf(name));
    },
    together: (name) => shareOf(name).map((setup) => setup.name),
    processOf: homeOf,
    twin: (name, on) => homeOf(name).call('twin', name, on),
    route: (routes) => done(Promise.all(processes.map((worker) => worker.call('route', routes)))),
    act: (name, action) => homeOf(name).call('act', name, action),
    watch: (on) => done(Promise.all(processes.map((worker) => worker.call('watch', on)))),
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    snapshots: async (chosen = names) =>
      (await each(chosen, (worker, own) => worker.call('snapshots', own))).flat(),
    connected: async (count = names.length, deadlineMs = 120_000) => {
      await until(
        `${count} hollow agents to be connected`,
        deadlineMs,
        async () => {
          const now = await counts();
          expect(now.connected >= count, `${now.connected} are, ${now.ended} ended by themselves`);
        },
        { signal },
      );
    },
  };
}

const sumOf = (a: HollowCounts, b: HollowCounts): HollowCounts => ({
  connected: a.connected + b.connected,
  instances: a.instances + b.instances,
  started: a.started + b.started,
  changes: a.changes + b.changes,
  ensures: a.ensures + b.ensures,
  removes: a.removes + b.removes,
  ended: a.ended + b.ended,
});
