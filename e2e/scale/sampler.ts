/**
 * What the processes of a run cost, once a second: memory, processor time, calls to the API server.
 *
 * Guarantees: read from /proc, so that a busy process costs as much to watch as an idle one; a process that
 * was started again goes on under its name; processor time of a phase counts all its lives.
 */
import { readFile } from 'node:fs/promises';
import type { Series } from '../bench/chart.ts';
import { machineMs } from './hollow-messages.ts';

export interface Watched {
  readonly name: string;
  readonly pids: () => readonly number[];
}

export interface Usage {
  readonly rssMib: number;
  readonly cpuSeconds: number;
}

export interface Sampler {
  /** By name, now. */
  usage(): Promise<ReadonlyMap<string, Usage>>;
  /** Highest memory since the last call of this. */
  takePeaks(): ReadonlyMap<string, number>;
  mark(name: string): void;
  readonly marks: readonly { readonly name: string; readonly seconds: number }[];
  memory(): readonly Series[];
  processor(): readonly Series[];
  /** A value of the run's own, sampled with the others. */
  gauge(name: string, value: () => number): void;
  gauges(): readonly Series[];
  /** Seconds since the start. */
  seconds(): number;
  stop(): void;
}

type Points = [seconds: number, value: number][];

const everyMs = 1_000;
/** Clock ticks a second of /proc/<pid>/stat: 100 on every Linux that Node runs on. */
const ticks = 100;

export function startSampler(watched: readonly Watched[]): Sampler {
  const startMs = machineMs();
  const seconds = (): number => (machineMs() - startMs) / 1_000;
  const series = { memory: new Map<string, Points>(), processor: new Map<string, Points>() };
  const gauges = new Map<string, { readonly value: () => number; readonly points: Points }>();
  const marks: { name: string; seconds: number }[] = [];
  const peaks = new Map<string, number>();
  /** Processor time of lives that have ended, and of those that are, by name and id. */
  const times = new Map<string, Map<number, number>>();
  const usage = async (): Promise<ReadonlyMap<string, Usage>> => {
    const all = new Map<string, Usage>();
    for (const { name, pids } of watched) {
      const known = times.get(name) ?? new Map<number, number>();
      times.set(name, known);
      let rssMib = 0;
      for (const pid of pids()) {
        const life = await lifeOf(pid);
        if (!life) continue;
        known.set(pid, life.cpuSeconds);
        rssMib += life.rssMib;
      }
      const cpuSeconds = [...known.values()].reduce((sum, one) => sum + one, 0);
      all.set(name, { rssMib, cpuSeconds });
    }
    return all;
  };
  let before: { readonly at: number; readonly usage: ReadonlyMap<string, Usage> } | undefined;
  const sample = async (): Promise<void> => {
    const at = seconds();
    const now = await usage();
    for (const [name, { rssMib, cpuSeconds }] of now) {
      peaks.set(name, Math.max(peaks.get(name) ?? 0, rssMib));
      pointsOf(series.memory, name).push([at, rssMib]);
      const last = before?.usage.get(name)?.cpuSeconds ?? cpuSeconds;
      const span = at - (before?.at ?? at) || 1;
      pointsOf(series.processor, name).push([at, ((cpuSeconds - last) / span) * 100]);
    }
    for (const { value, points } of gauges.values()) points.push([at, value()]);
    before = { at, usage: now };
  };
  const timer = setInterval(() => void sample(), everyMs);
  const seriesOf = (all: ReadonlyMap<string, Points>): readonly Series[] =>
    [...all].map(([name, points]) => ({ name, points }));
  return {
    usage,
    takePeaks() {
      const taken = new Map(peaks);
      peaks.clear();
      return taken;
    },
    mark: (name) => void marks.push({ name, seconds: seconds() }),
    marks,
    memory: () => seriesOf(series.memory),
    processor: () => seriesOf(series.processor),
    gauge: (name, value) => void gauges.set(name, { value, points: [] }),
    gauges: () => [...gauges].map(([name, { points }]) => ({ name, points })),
    seconds,
    stop: () => clearInterval(timer),
  };
}

function pointsOf(all: Map<string, Points>, name: string): Points {
  const points = all.get(name) ?? [];
  all.set(name, points);
  return points;
}

/** Undefined when it is gone. */
async function lifeOf(pid: number): Promise<Usage | undefined> {
  try {
    const [status, stat] = await Promise.all([
      readFile(`/proc/${pid}/status`, 'utf8'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The name in parentheses may hold spaces; what follows it does not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const rssMib = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
    return { rssMib, cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticks };
  } catch {
    return undefined;
  }
}
