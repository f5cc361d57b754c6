/**
 * Faults of real phones: a swarm whose managers all run an agent, one fault after the other, drawn from the
 * seed, while one App changes and another must not be touched.
 *
 * Guarantees: a change is asked for in the middle of each fault, and in half of them another one when it has
 * healed: the swarm rolls back what it cannot start on a phone that hangs, and the site tries again what no other
 * plan replaces; then both run as they were asked for last, on the engines themselves, once each; of the one that
 * nobody changes, no container is gone from a phone that the fault did not touch. The last fault is a node that
 * leaves for good.
 */
import { describeError, type Random, seededRandom, systemClock } from '@cloudlet/runtime/base';
import {
  cloudletName,
  containersOf,
  instanceOf,
  startWorld,
  webApp,
  type World,
} from '../scenarios/swarm-world.ts';
import {
  expect,
  getCloudlet,
  type Phone,
  type Progress,
  pushWebImage,
  swarmNodes,
  until,
} from '../testbed/index.ts';
import { conditionOf } from '../scale/conditions.ts';
import { FaultsFound } from './found.ts';
import { draw, pick, type Span, weighted } from './schedule.ts';

export interface PhoneRunOptions {
  readonly seed: number;
  readonly count: number;
  /** Phones that manage and run an agent, of three. */
  readonly managers: number;
  readonly only: readonly string[];
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

interface Bed {
  readonly world: World;
  readonly options: PhoneRunOptions;
  readonly random: Random;
  wish: number;
}

interface PhoneFault {
  readonly name: string;
  readonly weight: number;
  readonly holdMs: Span;
  /** What it is done to; what runs on these may be started again. */
  readonly targets: (bed: Bed) => Promise<readonly Phone[]>;
  readonly inject: (phones: readonly Phone[], bed: Bed) => Promise<void>;
  readonly heal: (phones: readonly Phone[], bed: Bed) => Promise<void>;
}

const phoneCount = 3;
const replicas = 2;
const agreeMs = 240_000;
const still = 'still';
const changing = 'changing';

const anyPhone = async ({ world, random }: Bed): Promise<readonly Phone[]> => [
  pick(world.phones.phones, random),
];
const anyManager = async ({ world, random }: Bed): Promise<readonly Phone[]> => [
  pick(world.managers, random),
];

async function leaderOf({ world }: Bed): Promise<Phone> {
  return until('the swarm to have a leader', 60_000, async () => {
    const [asked] = world.managers;
    expect(asked, 'a swarm without managers');
    const name = (await swarmNodes(asked)).find(({ manager }) => manager === 'Leader')?.name;
    const leader = world.managers.find((phone) => phone.name === name);
    expect(leader, `the leader is ${name ?? 'nobody'}`);
    return leader;
  });
}

/** All managers but as many as are too few. */
async function majority({ world, random }: Bed): Promise<readonly Phone[]> {
  const { managers } = world;
  const first = Math.floor(random() * managers.length);
  const lost = Math.ceil(managers.length / 2);
  return [...managers.slice(first), ...managers.slice(0, first)].slice(0, lost);
}

const each = async (
  phones: readonly Phone[],
  act: (phone: Phone) => Promise<void>,
): Promise<void> => void (await Promise.all(phones.map(act)));

/** Boots phones; what runs an agent gets it back, as a service of the system would do it. */
async function boot(phones: readonly Phone[], { world }: Bed): Promise<void> {
  await each(phones, async (phone) => {
    await phone.boot();
    await world.site.agents[world.managers.indexOf(phone)]?.start();
  });
}

const off = (
  name: string,
  weight: number,
  targets: PhoneFault['targets'],
  holdMs: Span = [1_000, 20_000],
): PhoneFault => ({
  ...{ name, weight, holdMs, targets, heal: boot },
  inject: (phones) => each(phones, (phone) => phone.powerOff()),
});

const engineEnds = (name: string, signal: NodeJS.Signals): PhoneFault => ({
  ...{ name, weight: 2, holdMs: [0, 5_000], targets: anyPhone, heal: boot },
  inject: (phones) => each(phones, (phone) => phone.killDockerd(signal)),
});

export const phoneFaults: readonly PhoneFault[] = [
  engineEnds('engine-killed', 'SIGKILL'),
  engineEnds('engine-restarted', 'SIGTERM'),
  {
    ...{ name: 'engine-hung', weight: 2, holdMs: [1_000, 40_000], targets: anyPhone },
    inject: (phones) => each(phones, (phone) => phone.signalDockerd('SIGSTOP')),
    heal: (phones) => each(phones, (phone) => phone.signalDockerd('SIGCONT')),
  },
  off('phone-off', 2, anyPhone),
  off('leader-off', 2, async (bed) => [await leaderOf(bed)]),
  off('quorum-off', 2, majority, [5_000, 30_000]),
  {
    ...{ name: 'phone-cut', weight: 2, holdMs: [1_000, 60_000], targets: anyPhone },
    inject: (phones) => each(phones, (phone) => phone.cut()),
    heal: (phones) => each(phones, (phone) => phone.heal()),
  },
  {
    ...{ name: 'agent-killed', weight: 2, holdMs: [0, 20_000], targets: anyManager },
    inject: (phones, bed) => each(phones, (phone) => agentOf(bed, phone).kill()),
    heal: (phones, bed) => each(phones, (phone) => agentOf(bed, phone).start()),
  },
];

/** Done once, at the end of a run: the swarm is smaller then. */
export const leavingName = 'node-leaves';

function agentOf({ world }: Bed, phone: Phone) {
  const agent = world.site.agents[world.managers.indexOf(phone)];
  expect(agent, `${phone.name} has no agent`);
  return agent;
}

/** @returns faults done, by name @throws FaultsFound */
export async function runPhoneFaults(
  options: PhoneRunOptions,
): Promise<ReadonlyMap<string, number>> {
  const { seed, count, managers, only, signal } = options;
  const isChosen = (name: string): boolean => only.length === 0 || only.includes(name);
  await using world = await startWorld({
    ...{ phones: phoneCount, managers, prefix: 'fphone', net: '10.79.8' },
  });
  const bed: Bed = { world, options, random: seededRandom(seed), wish: 0 };
  await begin(bed);
  const kinds = phoneFaults.filter(({ name }) => isChosen(name));
  const done = new Map<string, number>();
  for (let number = 1; number <= count && kinds.length > 0; number++) {
    signal.throwIfAborted();
    const fault = weighted(kinds, bed.random);
    await doFault(bed, fault, number);
    done.set(fault.name, (done.get(fault.name) ?? 0) + 1);
  }
  if (isChosen(leavingName) && managers === phoneCount) {
    await leave(bed, count + 1);
    done.set(leavingName, 1);
  }
  return done;
}

async function begin(bed: Bed): Promise<void> {
  const { world } = bed;
  const image = await pushWebImage(world.phones.registry, { architectures: ['amd64'] });
  for (const phone of world.phones.phones) await phone.docker(['pull', '--quiet', image.reference]);
  await world.apply(webApp('web', image.reference), instanceOf(still, 'web', { replicas }));
  await change(bed);
  await settled(bed, 'the beginning');
}

/** Asks for another plan of the one that changes; again until the API server took it. */
async function change(bed: Bed): Promise<void> {
  bed.wish++;
  const env = [{ name: 'WISH', value: String(bed.wish) }];
  await bed.world.apply(instanceOf(changing, 'web', { replicas, env }));
}

async function doFault(bed: Bed, fault: PhoneFault, number: number): Promise<void> {
  const { world, options, random } = bed;
  const { progress, signal } = options;
  const targets = await fault.targets(bed);
  const holdMs = draw(fault.holdMs, random);
  const names = targets.map(({ name }) => name).join(' and ');
  const text = `fault ${number}, ${fault.name} of ${names} for ${(holdMs / 1_000).toFixed(1)} s`;
  progress(text);
  const spared = world.phones.phones.filter((phone) => !targets.includes(phone));
  const before = await containersOf(spared, await stackOf(world, still));
  try {
    await fault.inject(targets, bed);
    await change(bed);
    await systemClock.sleep(holdMs, signal);
    await fault.heal(targets, bed);
    if (random() < 0.5) await change(bed);
  } catch (cause) {
    throw new Error(`${text} could not be done: ${describeError(cause)}`, { cause });
  }
  const start = performance.now();
  await settled(bed, text);
  await untouched(bed, text, spared, before);
  progress(`fault ${number} settled after ${((performance.now() - start) / 1_000).toFixed(1)} s`);
}

/** A manager goes off for good, and a person takes it out of the swarm. */
async function leave(bed: Bed, number: number): Promise<void> {
  const { world, options, random } = bed;
  const gone = pick(world.managers.slice(1), random);
  const text = `fault ${number}, ${leavingName}: ${gone.name}`;
  options.progress(text);
  const spared = world.phones.phones.filter((phone) => phone !== gone);
  const before = await containersOf(spared, await stackOf(world, still));
  await gone.powerOff();
  await change(bed);
  await until('the swarm to let it go', 120_000, async () => {
    const [asked] = spared;
    await asked?.docker(['node', 'demote', gone.name], { timeoutMs: 25_000 });
    await asked?.docker(['node', 'rm', '--force', gone.name], { timeoutMs: 25_000 });
  });
  await change(bed);
  await settled(bed, text, spared);
  await untouched(bed, text, spared, before);
}

const stackOf = async (world: World, name: string): Promise<string> =>
  (await world.appInst(name)).status?.site?.name ?? '';

/** Waits until both run as asked for last, and only so. @throws FaultsFound */
async function settled(
  bed: Bed,
  text: string,
  phones: readonly Phone[] = bed.world.phones.phones,
): Promise<void> {
  const { world, options } = bed;
  const look = async (): Promise<void> => {
    const ready = conditionOf(await getCloudlet(world.controlPlane, cloudletName), 'Ready');
    expect(ready?.status === 'True', `the site is not Ready: ${JSON.stringify(ready)}`);
    for (const name of [still, changing]) {
      const one = await world.appInst(name);
      const isReady = conditionOf(one, 'Ready');
      expect(
        isReady?.status === 'True' && isReady.observedGeneration === one.metadata.generation,
        `${name} is not Ready: ${JSON.stringify(isReady)}`,
      );
      const found = await containersOf(phones, one.status?.site?.name ?? '');
      expect(found.length === replicas, `${name} has ${found.length} containers`);
    }
    const wishes = await wishesOf(phones, await stackOf(world, changing));
    const right = String(bed.wish);
    expect(
      wishes.every((wish) => wish === right),
      `wish ${wishes.join()} runs, wanted ${right}`,
    );
  };
  try {
    await until('all to agree', agreeMs, look, { signal: options.signal, intervalMs: 1_000 });
  } catch (error) {
    options.signal.throwIfAborted();
    throw new FaultsFound(`seed ${options.seed}, ${text}: ${describeError(error)}`);
  }
}

async function wishesOf(phones: readonly Phone[], stack: string): Promise<readonly string[]> {
  const lists = await Promise.all(
    phones.map(async (phone) => {
      const ids = await containersOf([phone], stack);
      if (ids.length === 0) return [];
      const format = ['--format', '{{range .Config.Env}}{{println .}}{{end}}'];
      const text = await phone.docker(['inspect', ...format, ...ids]);
      return text.split('\n').flatMap((line) => /^WISH=(.*)$/.exec(line)?.[1] ?? []);
    }),
  );
  return lists.flat();
}

/** @throws FaultsFound when what nobody changed is gone from a phone that had no fault */
async function untouched(
  { world, options }: Bed,
  text: string,
  spared: readonly Phone[],
  before: readonly string[],
): Promise<void> {
  const now = await containersOf(spared, await stackOf(world, still));
  const gone = before.filter((id) => !now.includes(id));
  if (gone.length > 0)
    throw new FaultsFound(
      `seed ${options.seed}, ${text}: containers of ${still} were started again without a cause: ${gone.join()}`,
    );
}
