/**
 * What a process holds now, from outside where that is possible: memory and descriptors from /proc, heap after
 * a full collection and what keeps its event loop busy from the probe loaded into it; and what the store holds.
 *
 * Guarantees: a process that does not answer in time costs its own sample and no other; nothing here grows.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { metricSum } from '../scale/figures.ts';

/** Figures by name. */
export type Sample = Readonly<Record<string, number>>;

const mib = 2 ** 20;
const probeMs = 5_000;

/** @throws when the process is gone or does not answer */
export async function sampleProcess(pid: number, probes: string): Promise<Sample> {
  const [status, descriptors] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'utf8'),
    descriptorsOf(pid),
  ]);
  const { heapUsed, resources } = await askProbe(join(probes, `${ownId(status)}.sock`));
  const timers = resources.filter((name) => name === 'Timeout' || name === 'Immediate').length;
  return {
    rss: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1_024,
    heap: heapUsed / mib,
    descriptors: descriptors.length,
    sockets: descriptors.filter((target) => target.startsWith('socket:')).length,
    timers,
    handles: resources.length - timers,
  };
}

/**
 * A hub's without those of its links, of which each has one socket and some heap: sites move from hub to hub
 * when one ends, and what comes with them goes with them.
 */
export async function sampleHub(pid: number, probes: string, metrics: string): Promise<Sample> {
  const sample = await sampleProcess(pid, probes);
  const links = metricSum(metrics, 'edge_hub_links');
  const without = (figure: string, each = 1): number =>
    (sample[figure] ?? Number.NaN) - each * links;
  return {
    ...{ ...sample, links, heap: without('heap', linkMib) },
    ...{ descriptors: without('descriptors') },
    ...{ sockets: without('sockets'), handles: without('handles') },
  };
}

/** Heap of a link, as seen when fifteen of them came and went. */
const linkMib = 0.045;

/** The id of a process as it sees itself: the last, where it is in a namespace of its own. */
const ownId = (status: string): string =>
  /NSpid:\s+(.*)/.exec(status)?.[1]?.trim().split(/\s+/).at(-1) ?? '';

async function descriptorsOf(pid: number): Promise<readonly string[]> {
  const names = await readdir(`/proc/${pid}/fd`);
  const targets = await Promise.all(
    names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => undefined)), // closed meanwhile
  );
  return targets.filter((target) => target !== undefined);
}

interface Answer {
  readonly heapUsed: number;
  /** Types of what keeps the event loop busy. */
  readonly resources: readonly string[];
}

async function askProbe(path: string): Promise<Answer> {
  const socket = connect({ path, signal: AbortSignal.timeout(probeMs) });
  return JSON.parse(await text(socket)) as Answer;
}

/** The store as etcd tells it: bytes in use, the file they are in, and the objects of the API. */
export async function sampleStore(etcdUrl: string): Promise<Sample> {
  const post = async (path: string, body: object): Promise<Readonly<Record<string, string>>> => {
    const signal = AbortSignal.timeout(probeMs);
    const init = { method: 'POST', body: JSON.stringify(body), signal };
    const response = await fetch(`${etcdUrl}${path}`, init);
    if (!response.ok) throw new Error(`etcd says ${response.status} to ${path}`);
    return (await response.json()) as Readonly<Record<string, string>>;
  };
  const base64 = (key: string): string => Buffer.from(key).toString('base64');
  const all = { key: base64('/registry/'), range_end: base64('/registry0'), count_only: true };
  const [status, range] = await Promise.all([
    post('/v3/maintenance/status', {}),
    post('/v3/kv/range', all),
  ]);
  return {
    used: Number(status['dbSizeInUse']) / mib,
    file: Number(status['dbSize']) / mib,
    objects: Number(range['count']),
  };
}
