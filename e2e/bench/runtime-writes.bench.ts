/**
 * Status writes a second: our client beside client-node as it is shipped, in one run, in turns.
 *
 * `real` writes to an API server, which bounds both (etcd, validation, managed fields); `scripted` writes to an
 * HTTPS server of another process that answers at once, which shows the price of the client alone. Ten workers,
 * server-side apply of a status of the size of an AppInst's, a new value in each write.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CustomObjectsApi,
  KubeConfig,
  PatchStrategy,
  setHeaderOptions,
} from '@kubernetes/client-node';
import { retry, silentLogger, systemClock } from '@cloudlet/runtime/base';
import {
  type KubernetesObject,
  type ResourceType,
  coreTypes,
  createClient,
} from '@cloudlet/runtime/kubernetes';
import { ensureCertificates } from '../testbed/controlplane/certificates.ts';
import { writeKubeconfig } from '../testbed/index.ts';

interface Probe extends KubernetesObject {
  readonly status?: { readonly round: number; readonly text: string };
}

/** Writes the status of object number `i` once. */
type Write = (i: number, round: number) => Promise<unknown>;

interface Writer {
  readonly write: Write;
  close(): Promise<void>;
}

const workers = 10;
const objects = 100;
const rounds = 3;
const type: ResourceType = {
  group: 'bench.cloudlet.dev',
  version: 'v1',
  plural: 'probes',
  kind: 'Probe',
  namespaced: true,
};
const text = 'x'.repeat(1_200); // makes the object about 1.9 kB

export const bench = {
  prefix: 'statusWrites',
  needs: ['controlplane'] as const,
  async run(ctx: { readonly kubeconfig?: string }) {
    const scripted = await measureScripted();
    const real = ctx.kubeconfig ? await measureReal(ctx.kubeconfig) : {};
    return {
      figures: { ...real, ...scripted },
      notes: [
        'perSecond: status applies a second, ten workers; ratio: ours over client-node as shipped, same run',
      ],
    };
  },
};

async function measureReal(kubeconfig: string): Promise<Record<string, number>> {
  const namespace = `bench-${randomBytes(3).toString('hex')}`;
  const client = createClient({ kubeconfig, ...dependencies });
  const definitions = client.resource(coreTypes.customResourceDefinitions);
  const namespaces = client.resource(coreTypes.namespaces);
  await definitions.apply(definition(), { fieldManager: 'bench' });
  await namespaces.create({ metadata: { name: namespace } });
  const create = (i: number) =>
    client.resource<Probe>(type).create({ metadata: { name: `probe-${i}`, namespace } });
  try {
    // The API server serves a new kind a moment after it was defined.
    await retry(() => create(0), { clock: systemClock, baseMs: 100, attempts: 50 });
    await Promise.all(Array.from({ length: objects - 1 }, (_, i) => create(i + 1)));
    return await compare('real', kubeconfig, namespace, 300);
  } finally {
    await namespaces.delete(namespace);
    await definitions.delete(definition().metadata.name);
    await client.close();
  }
}

async function measureScripted(): Promise<Record<string, number>> {
  const dir = await mkdtemp(join(tmpdir(), 'bench-writes-'));
  const certificates = await ensureCertificates(join(dir, 'pki'));
  const read = (name: Parameters<typeof certificates.path>[0]) =>
    readFile(certificates.path(name), 'utf8');
  const server = fork(new URL('./runtime-answering-server.ts', import.meta.url), [
    certificates.path('apiserver.crt'),
    certificates.path('apiserver.key'),
  ]);
  try {
    const [port] = (await once(server, 'message')) as [number];
    const kubeconfig = join(dir, 'kubeconfig');
    writeKubeconfig(kubeconfig, {
      server: `https://127.0.0.1:${port}`,
      certificateAuthority: await read('ca.crt'),
      user: { certificate: await read('admin.crt'), key: await read('admin.key') },
    });
    return await compare('scripted', kubeconfig, 'default', 1_000);
  } finally {
    await stop(server);
    await rm(dir, { recursive: true, force: true });
  }
}

/** Both writers in turns, so that a noisy neighbour disturbs both. */
async function compare(
  name: string,
  kubeconfig: string,
  namespace: string,
  writes: number,
): Promise<Record<string, number>> {
  const writers = {
    ours: ourWriter(kubeconfig, namespace),
    stock: stockWriter(kubeconfig, namespace),
  };
  const seconds = { ours: 0, stock: 0 };
  let value = 0;
  for (const writer of [writers.ours, writers.stock]) await run(writer.write, 20, ++value); // warm
  for (let round = 0; round < rounds; round++)
    for (const which of ['ours', 'stock'] as const)
      seconds[which] += await run(writers[which].write, writes, ++value);
  await Promise.all([writers.ours.close(), writers.stock.close()]);
  const perSecond = (which: 'ours' | 'stock') => Math.round((rounds * writes) / seconds[which]);
  return {
    [`${name}.ratio`]: seconds.stock / seconds.ours,
    [`${name}.ours.perSecond`]: perSecond('ours'),
    [`${name}.stock.perSecond`]: perSecond('stock'),
  };
}

/** Seconds that `writes` writes take. */
async function run(write: Write, writes: number, value: number): Promise<number> {
  let next = 0;
  const work = async (): Promise<void> => {
    for (let i = next++; i < writes; i = next++) await write(i % objects, value * writes + i);
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: workers }, work));
  return (performance.now() - started) / 1_000;
}

const dependencies = {
  logger: silentLogger,
  clock: systemClock,
  userAgent: 'cloudlet-bench',
} as const;

function ourWriter(kubeconfig: string, namespace: string): Writer {
  const client = createClient({ kubeconfig, ...dependencies });
  const probes = client.resource<Probe>(type);
  return {
    write: (i, round) =>
      probes.apply(
        { metadata: { name: `probe-${i}`, namespace }, status: { round, text } },
        { fieldManager: 'ours', subresource: 'status' },
      ),
    close: () => client.close(),
  };
}

function stockWriter(kubeconfig: string, namespace: string): Writer {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  const api = config.makeApiClient(CustomObjectsApi);
  const options = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply);
  const { group, version, plural, kind } = type;
  return {
    write(i, round) {
      const name = `probe-${i}`;
      const body = {
        apiVersion: `${group}/${version}`,
        kind,
        metadata: { name, namespace },
        status: { round, text },
      };
      const where = { group, version, plural, namespace, name };
      return api.patchNamespacedCustomObjectStatus(
        { ...where, body, fieldManager: 'stock', force: true },
        options,
      );
    },
    close: async () => undefined,
  };
}

/** A kind of our own for the time of the run. */
function definition() {
  const { group, version, plural, kind } = type;
  const status = {
    type: 'object',
    properties: { round: { type: 'integer' }, text: { type: 'string' } },
  };
  const schema = { openAPIV3Schema: { type: 'object', properties: { status } } };
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

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}
