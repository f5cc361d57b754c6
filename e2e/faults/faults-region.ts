/** Faults of the region: its processes, its API server and its store end, stop or refuse. */
import { systemClock } from '@cloudlet/runtime/base';
import { machineMs } from '../scale/hollow-messages.ts';
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

/** The API server refuses the region's processes with 429 and Retry-After, by its own flow control. */
async function refuse(injection: Injection): Promise<Heal> {
  const { bed, signal } = injection;
  const { kubectl } = bed.controlPlane;
  const apply = (object: object): Promise<void> =>
    again(injection, () =>
      kubectl(['apply', '--server-side', '-f', '-'], { input: JSON.stringify(object), signal }),
    );
  const group = 'flowcontrol.apiserver.k8s.io';
  const api = { apiVersion: `${group}/v1`, metadata: { name: 'fault-refuse' } };
  await apply({
    ...{ ...api, kind: 'PriorityLevelConfiguration' },
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares: 0,
        lendablePercent: 0,
        limitResponse: { type: 'Reject' },
      },
    },
  });
  const rule = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] };
  await apply({
    ...{ ...api, kind: 'FlowSchema' },
    spec: {
      priorityLevelConfiguration: { name: api.metadata.name },
      matchingPrecedence: 1,
      rules: [
        {
          subjects: [{ kind: 'Group', group: { name: 'system:serviceaccounts:cloudlet-system' } }],
          resourceRules: [{ ...rule, clusterScope: true }],
        },
      ],
    },
  });
  return async () => {
    const kinds = [`flowschemas.${group}`, `prioritylevelconfigurations.${group}`];
    for (const kind of kinds)
      await again(injection, () =>
        kubectl(['delete', kind, api.metadata.name, '--ignore-not-found'], { signal }),
      );
  };
}

/** What etcd says of itself. */
interface Status {
  readonly header: { readonly revision: string };
}

/** Everything before now is compacted away: a watch that has to resume from before gets 410 Gone. */
async function compact(injection: Injection): Promise<Heal> {
  const { bed, signal } = injection;
  const url = bed.controlPlane.etcdUrl;
  const post = async (path: string, body: object): Promise<unknown> => {
    const init = { method: 'POST', body: JSON.stringify(body), signal };
    const response = await fetch(`${url}${path}`, init);
    if (!response.ok) throw new Error(`etcd says ${response.status}: ${await response.text()}`);
    return response.json();
  };
  await again(injection, async () => {
    const status = (await post('/v3/maintenance/status', {})) as Status;
    await post('/v3/kv/compaction', { revision: status.header.revision, physical: true });
  });
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
    ...{ name: 'api-refuses', weight: 2, holdMs: [2_000, 20_000] },
    targets: () => ['api'],
    inject: refuse,
  },
];
