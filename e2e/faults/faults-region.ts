/** Faults of the region: its processes, its API server and its store end, stop or refuse. */
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { ConflictError, NotFoundError, systemClock } from '@cloudlet/runtime/base';
import { machineMs } from '../scale/hollow-messages.ts';
import { etcdOf } from './etcd.ts';
import { again, type Fault, type Heal, type Injection } from './fault.ts';

const processes = ({ bed }: Pick<Injection, 'bed'>, prefix: string): readonly string[] =>
  [...bed.parts.keys()].filter((name) => name.startsWith(prefix));

const partOf = ({ bed, target }: Injection) => {
  const part = bed.parts.get(target);
  if (!part) throw new RangeError(`the region has no part ${target}`);
  return part;
};

const startTries = 5;
const againMs = 1_000;

/** A start may fail while something else that it needs is down: it is tried again, as in a cluster. */
async function startAgain(injection: Injection): Promise<void> {
  const { bed, signal, target } = injection;
  for (let tries = 1; ; tries++)
    try {
      await partOf(injection).start();
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (tries === startTries) throw error;
      bed.history.note(machineMs(), `${target} did not start in time, try ${tries}`);
      await systemClock.sleep(againMs, signal);
    }
}

async function end(injection: Injection, how: 'kill' | 'stop'): Promise<Heal> {
  const held = injection.bed.hold(injection.target);
  await partOf(injection)[how]();
  return async () => {
    try {
      await startAgain(injection);
    } finally {
      held[Symbol.dispose]();
    }
  };
}

async function freeze(injection: Injection): Promise<Heal> {
  const part = partOf(injection);
  part.signal('SIGSTOP');
  return async () => part.signal('SIGCONT');
}

const hourMs = 3_600_000;

/** The clock of a process of the region jumps an hour, and jumps back. */
async function mistime(injection: Injection): Promise<Heal> {
  const { bed, target, random } = injection;
  // It may end meanwhile, as a leader does whose Lease runs out; the next one's clock is right.
  const set = (offsetMs: number): Promise<void> =>
    again(injection, async () => {
      if (!bed.parts.get(target)?.running) return;
      const socket = connect({ path: bed.clockOf(target), signal: AbortSignal.timeout(5_000) });
      socket.end(String(offsetMs));
      await text(socket);
    });
  await set(random() < 0.5 ? hourMs : -hourMs);
  return () => set(0);
}

/** The API server refuses the region's processes with 429 and Retry-After, by its own flow control. */
async function refuse(injection: Injection): Promise<Heal> {
  const { bed, signal } = injection;
  const group = '/apis/flowcontrol.apiserver.k8s.io/v1';
  const name = 'fault-refuse';
  const call = (method: string, kinds: string, body?: object): Promise<void> =>
    again(injection, async () => {
      const options = { body, timeoutMs: 5_000, signal };
      const path = `${group}/${kinds}${method === 'POST' ? '' : `/${name}`}`;
      await bed.client.request(method, path, options).catch(unlessSettled);
    });
  await call('POST', 'prioritylevelconfigurations', { metadata: { name }, spec: closedLevel });
  await call('POST', 'flowschemas', {
    metadata: { name },
    spec: {
      priorityLevelConfiguration: { name },
      matchingPrecedence: 2, // the API server keeps the first place for what it exempts
      rules: [{ subjects: [regionAccounts], resourceRules: [{ ...anything, clusterScope: true }] }],
    },
  });
  return async () => {
    for (const kinds of ['flowschemas', 'prioritylevelconfigurations']) await call('DELETE', kinds);
  };
}

/** A call whose answer was lost is made again, and finds what it made or deleted. */
function unlessSettled(error: unknown): void {
  if (!(error instanceof ConflictError) && !(error instanceof NotFoundError)) throw error;
}

const closedLevel = {
  type: 'Limited',
  limited: {
    nominalConcurrencyShares: 0,
    lendablePercent: 0,
    limitResponse: { type: 'Reject' },
  },
};
const regionAccounts = { kind: 'Group', group: { name: 'system:serviceaccounts:cloudlet-system' } };
const anything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] };

/** Everything before now is compacted away: a watch that has to resume from before gets 410 Gone. */
async function compact(injection: Injection): Promise<Heal> {
  const { bed, signal } = injection;
  await again(injection, () => etcdOf(bed.controlPlane.etcdUrl, signal).compact());
  // Whoever watches has to come again, and asks for what is gone.
  return end(injection, 'kill');
}

export const regionFaults: readonly Fault[] = [
  {
    ...{ name: 'hub-killed', weight: 5, holdMs: [200, 8_000] },
    targets: (bed) => processes({ bed }, 'hub'),
    inject: (injection) => end(injection, 'kill'),
  },
  {
    ...{ name: 'hub-ended', weight: 3, holdMs: [200, 5_000] },
    targets: (bed) => processes({ bed }, 'hub'),
    inject: (injection) => end(injection, 'stop'),
  },
  {
    ...{ name: 'hub-frozen', weight: 4, holdMs: [1_000, 60_000] },
    targets: (bed) => processes({ bed }, 'hub'),
    inject: freeze,
  },
  {
    ...{ name: 'operator-killed', weight: 5, holdMs: [200, 8_000] },
    targets: (bed) => processes({ bed }, 'operator'),
    inject: (injection) => end(injection, 'kill'),
  },
  {
    ...{ name: 'operator-frozen', weight: 4, holdMs: [1_000, 40_000] },
    targets: (bed) => processes({ bed }, 'operator'),
    inject: freeze,
  },
  {
    ...{ name: 'apiserver-killed', weight: 3, holdMs: [200, 5_000] },
    targets: () => ['kube-apiserver'],
    inject: (injection) => end(injection, 'kill'),
  },
  {
    ...{ name: 'apiserver-frozen', weight: 2, holdMs: [1_000, 15_000] },
    targets: () => ['kube-apiserver'],
    inject: freeze,
  },
  {
    ...{ name: 'etcd-killed', weight: 3, holdMs: [200, 5_000] },
    targets: () => ['etcd'],
    inject: (injection) => end(injection, 'kill'),
  },
  {
    ...{ name: 'etcd-frozen', weight: 2, holdMs: [1_000, 10_000] },
    targets: () => ['etcd'],
    inject: freeze,
  },
  {
    ...{ name: 'etcd-compacted', weight: 2, holdMs: [200, 1_000] },
    targets: () => ['kube-apiserver'],
    inject: compact,
  },
  {
    ...{ name: 'region-clock-off', weight: 3, holdMs: [1_000, 30_000] },
    targets: (bed) => [...processes({ bed }, 'hub'), ...processes({ bed }, 'operator')],
    inject: mistime,
  },
  {
    ...{ name: 'api-refuses', weight: 2, holdMs: [2_000, 20_000] },
    targets: () => ['api'],
    inject: refuse,
  },
];
