/**
 * A process of hollow sites, commanded over IPC by the bed that started it; it ends when that is gone.
 * Events are told in batches, 20 times a second.
 */
import { join } from 'node:path';
import { describeError, systemClock } from '@cloudlet/runtime/base';
import type {
  HollowCounts,
  Message,
  Request,
  WorkerCommands,
  WorkerEvent,
  WorkerSetup,
} from './hollow-messages.ts';
import { type Relay, startRelay } from './hollow-relay.ts';
import { HollowSite } from './hollow-site.ts';
import { openPlatformJournal, type PlatformJournal } from './platform-journal.ts';

const batchMs = 50;
const rightNow = Date.now.bind(Date);
const sites = new Map<string, HollowSite>();
let worker: { readonly setup: WorkerSetup; readonly relay: Relay | undefined } | undefined;
let isWatched = false;
let events: WorkerEvent[] = [];

const send = (message: Message): void => void process.send?.(message);

function tell(event: WorkerEvent): void {
  if (events.length === 0)
    systemClock.after(batchMs, () => {
      send({ events });
      events = [];
    });
  events.push(event);
}

const siteOf = (name: string): HollowSite => {
  const site = sites.get(name);
  if (!site) throw new Error(`no site ${name} here`);
  return site;
};

const journalOf = (name: string): PlatformJournal | undefined =>
  worker?.setup.journals === undefined
    ? undefined
    : openPlatformJournal(join(worker.setup.journals, `${name}.jsonl`));

const relayOf = (): Relay => {
  if (!worker?.relay) throw new Error('these sites dial by themselves: start them with a relay');
  return worker.relay;
};

const commands: { [K in keyof WorkerCommands]: WorkerCommands[K] | AsyncOf<WorkerCommands[K]> } = {
  setup: async (setup) => {
    worker = { setup, relay: setup.relay ? await startRelay() : undefined };
  },
  start(setups) {
    for (const setup of setups) {
      worker?.relay?.add(setup.name, setup.from);
      let site = sites.get(setup.name);
      if (!site) {
        site = new HollowSite({
          setup,
          platform: worker?.setup ?? { callMs: [5, 20], startMs: [50, 200], nodes: 3 },
          journal: journalOf(setup.name),
          logLevel: worker?.setup.logLevel ?? 'warn',
          proxyUrl: worker?.relay?.proxyUrl(setup.name),
          seed: sites.size + 1,
          tell,
          isWatched: () => isWatched,
        });
        sites.set(setup.name, site);
      }
      site.start();
    }
  },
  async stop(names) {
    await Promise.all(names.map((name) => siteOf(name).stop()));
  },
  cut: (names, how) => names.forEach((name) => relayOf().cut(name, how)),
  heal: (names) => names.forEach((name) => relayOf().heal(name)),
  drop: (names) => names.forEach((name) => relayOf().drop(name)),
  spoil: (names, how) => names.forEach((name) => relayOf().spoil(name, how)),
  clock(offsetMs) {
    Date.now = () => rightNow() + offsetMs;
  },
  twin: (name, on) => siteOf(name).twin(on),
  route: (routes) => relayOf().route(routes),
  act: (name, action) => siteOf(name).act(action),
  watch: (on) => {
    isWatched = on;
  },
  counts: () => countsOf([...sites.values()]),
  snapshots: (names) => names.map((name) => siteOf(name).snapshot()),
};

type AsyncOf<F extends (...args: never[]) => unknown> = (
  ...args: Parameters<F>
) => Promise<Awaited<ReturnType<F>>>;

function countsOf(all: readonly HollowSite[]): HollowCounts {
  const sum = (of: (counts: ReturnType<HollowSite['counts']>) => number): number =>
    all.reduce((total, site) => total + of(site.counts()), 0);
  return {
    connected: all.filter((site) => site.isConnected).length,
    ended: all.filter((site) => site.hasEnded).length,
    instances: sum(({ instances }) => instances),
    started: sum(({ started }) => started),
    changes: sum(({ changes }) => changes),
    ensures: sum(({ calls }) => calls.ensure),
    removes: sum(({ calls }) => calls.remove),
  };
}

async function answer({ n, command, args }: Request): Promise<void> {
  try {
    const run = commands[command] as (...args: unknown[]) => unknown;
    send({ n, value: await run(...args) });
  } catch (error) {
    send({ n, error: describeError(error) });
  }
}

process.on('message', (request: Request) => void answer(request));
process.on('disconnect', () => process.exit(0));
// A terminal's Ctrl-C is for the bed, which ends this process in its order.
process.on('SIGINT', () => undefined);
