/**
 * Probes: a kind of the benches' own, and the two operators that apply one status to each: controller-runtime's
 * (main.go) and ours (ours.ts), as small as each can be, as processes of the same machine.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@cloudlet/runtime/base';
import { coreTypes, type KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { inParallel, keyOf, type Watching, watching } from '../../scale/watching.ts';
import {
  buildGo,
  cacheDir,
  expect,
  type ManagedProcess,
  type Progress,
  startProcess,
  until,
} from '../../testbed/index.ts';
import { type Probe, probeType } from './probe-type.ts';

const namespace = 'default';
const appliesAtOnce = 16;
/** Makes the object about as large as a small status of ours. */
const text = 'x'.repeat(600);

export type Operator = 'controllerRuntime' | 'ours';

/** Builds the peer where it is not in the cache (two minutes of a core), and says where it is. */
export async function ensurePeer(progress: Progress, signal?: AbortSignal): Promise<string> {
  const source = import.meta.dirname;
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(readFileSync(join(source, file)));
  const binary = cacheDir('bin', `controller-runtime-${hash.digest('hex').slice(0, 12)}`, 'probe');
  if (!existsSync(binary))
    await buildGo({
      ...{ name: 'the controller-runtime operator', source, path: '.', binary, progress },
      ...(signal && { signal }),
    });
  return binary;
}

export interface ProbeBed extends AsyncDisposable {
  readonly probes: Watching<Probe>;
  /** Applies a new round to `count` Probes: each then wants a new status. */
  round(count: number): Promise<void>;
  start(operator: Operator): Promise<ManagedProcess>;
  /** Resolves when every Probe has the status of its generation. @returns when the first and the last got it. */
  settled(count: number): Promise<{ readonly first: number; readonly last: number }>;
}

export interface ProbeBedOptions {
  readonly client: KubernetesClient;
  readonly kubeconfig: string;
  readonly peer: string;
  readonly dir: string;
  readonly signal: AbortSignal;
}

export async function openProbes(options: ProbeBedOptions): Promise<ProbeBed> {
  const { client, kubeconfig, peer, dir, signal } = options;
  const definitions = client.resource(coreTypes.customResourceDefinitions);
  await definitions.apply(definition(), { fieldManager: 'bench' });
  await until('Probes to be served', 60_000, () => client.resource(probeType).list());
  const probes = await watching<Probe>(client, probeType, { signal });
  const done = new Map<string, number>();
  probes.informer.subscribe(({ type, object: { metadata, status } }) => {
    const key = keyOf({ metadata });
    const isDone = type !== 'Deleted' && status?.observedGeneration === metadata.generation;
    if (!isDone) done.delete(key);
    else if (!done.has(key)) done.set(key, performance.now());
  });
  const commands = {
    controllerRuntime: [peer, '--kubeconfig', kubeconfig],
    ours: [process.execPath, join(import.meta.dirname, 'ours.ts'), kubeconfig],
  } as const;
  let round = 0;
  return {
    probes,
    async round(count) {
      round++;
      const names = Array.from({ length: count }, (_, i) => `probe-${i + 1}`);
      await inParallel(names, appliesAtOnce, async (name) => {
        const metadata = { name, namespace };
        await client
          .resource<Probe>(probeType)
          .apply({ metadata, spec: { round, text } }, { fieldManager: 'bench', signal });
      });
    },
    start(operator) {
      const [command, ...args] = commands[operator];
      return startProcess({
        ...{ name: operator, command, args, logFile: join(dir, `${operator}.log`) },
      });
    },
    async settled(count) {
      await until(
        `${count} Probes to have their status`,
        300_000,
        () => expect(done.size === count, `${done.size} have`),
        { intervalMs: 20, signal },
      );
      const times = [...done.values()];
      return { first: Math.min(...times), last: Math.max(...times) };
    },
    async [Symbol.asyncDispose]() {
      await probes[Symbol.asyncDispose]();
      await definitions.delete(definition().metadata.name);
    },
  };
}

/**
 * Seconds from the first apply until all of `count` new objects have their one status, by controller-runtime:
 * the measure of what the API server takes for one.
 */
export async function peerReadySeconds(options: ProbeBedOptions, count: number): Promise<number> {
  await using bed = await openProbes(options);
  const peer = await bed.start('controllerRuntime');
  try {
    await bed.round(1);
    await bed.settled(1); // its cache is full, its connections are open
    const start = performance.now();
    await bed.round(count);
    const { last } = await bed.settled(count);
    return (last - start) / 1_000;
  } finally {
    await peer.stop();
  }
}

/** Status writes a second of an operator that starts with `count` objects to do, from its first to its last. */
export async function ratesOf(
  bed: ProbeBed,
  operator: Operator,
  count: number,
): Promise<{ readonly perSecond: number; readonly seconds: number }> {
  await bed.round(count);
  await systemClock.sleep(1_000);
  const start = performance.now();
  const running = await bed.start(operator);
  try {
    const { first, last } = await bed.settled(count);
    return {
      perSecond: (count - 1) / ((last - first) / 1_000),
      seconds: (last - start) / 1_000,
    };
  } finally {
    await running.stop();
  }
}

/** The kind, for the time of the run. */
function definition() {
  const { group, version, plural, kind } = probeType;
  const spec = {
    type: 'object',
    properties: { round: { type: 'integer' }, text: { type: 'string' } },
  };
  const condition = {
    type: 'object',
    required: ['type'],
    properties: Object.fromEntries([
      ...['type', 'status', 'reason', 'message', 'lastTransitionTime'].map((name) => [
        name,
        { type: 'string' },
      ]),
      ['observedGeneration', { type: 'integer' }],
    ]) as Record<string, { type: string }>,
  };
  const status = {
    type: 'object',
    properties: {
      observedGeneration: { type: 'integer' },
      text: { type: 'string' },
      conditions: {
        type: 'array',
        items: condition,
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['type'],
      },
    },
  };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec, status } } };
  return {
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural, kind },
      versions: [
        { name: version, served: true, storage: true, schema, subresources: { status: {} } },
      ],
    },
  };
}
