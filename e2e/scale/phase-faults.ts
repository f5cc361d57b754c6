/** Phases of loss: the hub is killed, half of the links are cut, leaders end. Nothing at a site may restart. */
import type { Cloudlet } from '@cloudlet/crds';
import { type Lease, leaseType } from '@cloudlet/operator';
import { systemClock } from '@cloudlet/runtime/base';
import { percentile } from '../bench/swarm-bed.ts';
import { expect, until } from '../testbed/index.ts';
import { namespace, type ScaleBed } from './bed.ts';
import { conditionOf } from './conditions.ts';
import { type PhaseResult, spread } from './figures.ts';
import { machineMs } from './hollow-messages.ts';
import { watching } from './watching.ts';

/** Times at which each site connected from now on. */
export function connections(bed: ScaleBed): {
  readonly connected: ReadonlyMap<string, number>;
  readonly disconnected: ReadonlyMap<string, number>;
  stop(): void;
} {
  const connected = new Map<string, number>();
  const disconnected = new Map<string, number>();
  const stop = bed.hollow.subscribe(({ kind, site, at }) => {
    if (kind === 'Connected') connected.set(site, at);
    if (kind === 'Disconnected') disconnected.set(site, at);
  });
  return { connected, disconnected, stop };
}

/** Runs a fault, and says how many tasks started meanwhile that nobody asked for. */
export async function withoutRestarts(
  bed: ScaleBed,
  name: string,
  fault: () => Promise<PhaseResult>,
): Promise<PhaseResult> {
  const before = await bed.hollow.counts();
  const result = await fault();
  const after = await bed.hollow.counts();
  const figures = { ...result.figures, [`${name}.restarts`]: after.started - before.started };
  return { ...result, figures };
}

/** SIGKILL of the only hub; it is started again at once. Counted from when it accepts again. */
export function hubKill(bed: ScaleBed): Promise<PhaseResult> {
  return withoutRestarts(bed, 'hubKill', async () => {
    const [hub] = bed.region.hubs;
    const links = connections(bed);
    const { connected } = links;
    await hub?.kill();
    const killed = machineMs();
    await hub?.start();
    const accepts = machineMs();
    await allConnected(bed, connected);
    links.stop();
    await cloudletsReady(bed, bed.hollow.names);
    const times = [...connected.values()].map((at) => Math.max(0, at - accepts) / 1_000);
    return {
      figures: {
        [`hub.reconnect.${bed.options.sites}agents`]: percentile(times, 0.99),
        ...spread('hubKill.reconnect', times),
        'hubKill.down': (accepts - killed) / 1_000,
        'hubKill.allReady': (machineMs() - accepts) / 1_000,
      },
    };
  });
}

async function allConnected(bed: ScaleBed, connected: ReadonlyMap<string, number>): Promise<void> {
  const { options } = bed;
  await until(
    'every agent to be connected again',
    300_000,
    () => expect(connected.size >= options.sites, `${connected.size} of ${options.sites} are`),
    { signal: options.signal },
  );
  await bed.hollow.connected();
}

const isConnected = (cloudlet: Cloudlet): boolean =>
  conditionOf(cloudlet, 'Connected')?.status === 'True';

export async function cloudletsReady(bed: ScaleBed, names: readonly string[]): Promise<void> {
  await Promise.all(
    names.map((name) =>
      bed.hollow.cloudlets.whenever(
        name,
        (cloudlet) => conditionOf(cloudlet, 'Ready')?.status === 'True',
        300_000,
      ),
    ),
  );
}

const cutDeadlineMs = 180_000;

/** Half of the links go silent, without an end or a reset, until the region noticed all; then they heal. */
export function cutHalf(bed: ScaleBed): Promise<PhaseResult> {
  return withoutRestarts(bed, 'cut', async () => {
    const { hollow } = bed;
    const half = hollow.names.slice(0, Math.floor(hollow.names.length / 2));
    const others = new Set(hollow.names.slice(half.length));
    const links = connections(bed);
    const { connected, disconnected } = links;
    await hollow.cut(half);
    const cut = machineMs();
    const noticed: number[] = [];
    await Promise.all(
      half.map(async (name) => {
        await hollow.cloudlets.whenever(name, (one) => !isConnected(one), cutDeadlineMs);
        noticed.push((machineMs() - cut) / 1_000);
      }),
    );
    await hollow.heal(half);
    const healed = machineMs();
    await hollow.connected(undefined, cutDeadlineMs);
    await cloudletsReady(bed, half);
    const times = half.map((name) => Math.max(0, (connected.get(name) ?? cut) - healed) / 1_000);
    const bystanders = [...disconnected.keys()].filter((name) => others.has(name)).length;
    links.stop();
    return {
      figures: {
        ...spread('cut.noticed', noticed),
        ...spread('cut.reconnect', times),
        'cut.ready': (machineMs() - healed) / 1_000,
        'cut.bystanders': bystanders,
      },
    };
  });
}

/** From the end of the leader until an object that was applied at that moment is acted on by the next. */
export async function leader(bed: ScaleBed): Promise<PhaseResult> {
  await using leases = await watching<Lease>(bed.client, leaseType, {
    namespace: 'cloudlet-system',
    signal: bed.options.signal,
  });
  const figures: Record<string, number> = {};
  for (const how of ['sigterm', 'sigkill'] as const) {
    const { leading, standby } = await leaders(bed, leases);
    await systemClock.sleep(3_000, bed.options.signal); // the standby is quiet, its caches are warm
    const holder = leases.cache.get(leaseKey)?.spec?.holderIdentity;
    const start = machineMs();
    const ending = how === 'sigterm' ? leading.stop() : leading.kill();
    const name = `l-${how}-${Math.round(start)}`;
    const acted = bed.appInsts.whenever(
      `${namespace}/${name}`,
      ({ status }) => status?.placement !== undefined,
      60_000,
    );
    await bed.apply([name]);
    await acted;
    figures[`leader.${how}.seconds`] = (machineMs() - start) / 1_000;
    await ending;
    expect(
      leases.cache.get(leaseKey)?.spec?.holderIdentity !== holder,
      `${standby.name} leads now`,
    );
    await leading.start();
  }
  return { figures };
}

const leaseKey = 'cloudlet-system/cloudlet-operator';

async function leaders(bed: ScaleBed, leases: { cache: { get(key: string): Lease | undefined } }) {
  return until('one operator to lead', 60_000, async () => {
    expect(leases.cache.get(leaseKey)?.spec?.holderIdentity, 'nobody holds the Lease');
    const texts = await Promise.all(bed.region.operators.map((one) => one.metrics()));
    const states = texts.map((text) => /^leader_election_master_status\{.*\} 1$/m.test(text));
    expect(states.filter(Boolean).length === 1, `leaders: ${states.join(', ')}`);
    const leading = bed.region.operators[states.indexOf(true)];
    const standby = bed.region.operators[states.indexOf(false)];
    expect(leading && standby, 'a leader and a standby are wanted');
    return { leading, standby };
  });
}
