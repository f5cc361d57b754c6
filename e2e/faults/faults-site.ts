/** Faults between a site and its region, and at a site: link, agent, platform. */
import type { Cut, SiteAction, Spoil } from '../scale/hollow-messages.ts';
import type { FaultBed } from './bed.ts';
import { again, type Fault, type Injection, siteOf } from './fault.ts';
import type { Span } from './schedule.ts';

const sites = (bed: FaultBed): readonly string[] => bed.hollow.names.map((name) => `site:${name}`);

/** The first site of each process stands for all in it. */
const crews = (bed: FaultBed): readonly string[] =>
  bed.hollow.names
    .filter((name) => bed.hollow.together(name)[0] === name)
    .map((name) => `agents:${name}`);

const cut = (how: Cut, weight: number, holdMs: Span): Fault => ({
  ...{ name: `link-${how}`, weight, holdMs, targets: sites },
  async inject({ bed, target }) {
    const names = [siteOf(target)];
    await bed.hollow.cut(names, how);
    return () => bed.hollow.heal(names);
  },
});

const spoil = (how: Spoil, weight: number): Fault => ({
  ...{ name: `link-${how}`, weight, holdMs: [0, 1_000], targets: sites },
  async inject({ bed, target }) {
    await bed.hollow.spoil([siteOf(target)], how);
    return async () => undefined;
  },
});

const platform = (
  name: string,
  weight: number,
  holdMs: Span,
  [wrong, right]: readonly [SiteAction, SiteAction],
): Fault => ({
  ...{ name, weight, holdMs, targets: sites },
  async inject({ bed, target }) {
    await bed.hollow.act(siteOf(target), wrong);
    return () => bed.hollow.act(siteOf(target), right);
  },
});

/** All connections end at once, and all agents dial again; those that another fault killed, when they are back. */
async function dropAll(injection: Injection) {
  await again(injection, () => injection.bed.hollow.drop());
  return async () => undefined;
}

async function crash({ bed, target }: Injection) {
  await bed.hollow.crash(siteOf(target));
  return () => bed.hollow.revive(siteOf(target));
}

async function freeze({ bed, target }: Injection) {
  const process = bed.hollow.processOf(siteOf(target));
  process.signal('SIGSTOP');
  return async () => process.signal('SIGCONT');
}

async function end({ bed, target }: Injection) {
  const names = [siteOf(target)];
  await bed.hollow.stop(names);
  return () => bed.hollow.start(names);
}

const hourMs = 3_600_000;

/** The clock of the agents jumps, and jumps back. */
async function mistime({ bed, target, random }: Injection) {
  const process = bed.hollow.processOf(siteOf(target));
  await process.call('clock', random() < 0.5 ? hourMs : -hourMs);
  return () => process.call('clock', 0);
}

/** The tasks of one instance end; the platform starts them again. */
async function lose({ bed, target, random }: Injection) {
  const site = siteOf(target);
  bed.history.read();
  const running = [...(bed.history.platforms.get(site)?.keys() ?? [])];
  const id = running[Math.floor(random() * running.length)];
  if (id !== undefined) {
    bed.history.lost.set(id, (bed.history.lost.get(id) ?? 0) + mostTasks);
    await bed.hollow.act(site, { kind: 'LoseTasks', id });
  }
  return async () => undefined;
}

/** Replicas of an instance, at most. */
const mostTasks = 3;

export const siteFaults: readonly Fault[] = [
  cut('silent', 6, [1_000, 70_000]),
  cut('reset', 5, [200, 10_000]),
  cut('drip', 3, [2_000, 20_000]),
  cut('inspected', 3, [1_000, 20_000]),
  spoil('half-open', 5),
  spoil('garbage', 5),
  { name: 'sites-return', weight: 1, holdMs: [0, 500], targets: () => ['sites'], inject: dropAll },
  { name: 'agents-killed', weight: 4, holdMs: [0, 10_000], targets: crews, inject: crash },
  { name: 'agents-frozen', weight: 4, holdMs: [1_000, 60_000], targets: crews, inject: freeze },
  { name: 'agent-ended', weight: 4, holdMs: [0, 5_000], targets: sites, inject: end },
  { name: 'clock-off', weight: 3, holdMs: [1_000, 30_000], targets: crews, inject: mistime },
  { name: 'tasks-lost', weight: 3, holdMs: [0, 500], targets: sites, inject: lose },
  platform(
    'engine-gone',
    3,
    [500, 20_000],
    [
      { kind: 'Reachable', value: false },
      { kind: 'Reachable', value: true },
    ],
  ),
  platform(
    'engine-slow',
    2,
    [2_000, 20_000],
    [
      { kind: 'Slowness', factor: 50 },
      { kind: 'Slowness', factor: 1 },
    ],
  ),
  platform(
    'quorum-lost',
    3,
    [500, 20_000],
    [
      { kind: 'Quorum', value: false },
      { kind: 'Quorum', value: true },
    ],
  ),
];
