/**
 * What is left of a watch after a fault: ours beside client-node's informer and @dot-i/k8s-operator, each in a
 * process of its own against the same scripted API server.
 *
 * A peer has recovered when its handler sees an object that was made after the fault, within ten seconds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@cloudlet/runtime/base';
import { FaultServer } from '@cloudlet/runtime/testing';
import {
  type PeerName,
  type Told,
  type Usage,
  peerNames,
  poison,
} from './runtime-recovery-shared.ts';

const patienceMs = 10_000;
const manyObjects = 10_000;

/** Breaks something while the peer watches. */
const faults: Readonly<Record<string, (server: FaultServer) => void>> = {
  reset: (server) => server.resetAll(),
  gone: (server) => server.expire(),
  'throwing-handler': (server) => void server.put('poisoned', poison),
};

export const bench = {
  prefix: 'recovery',
  needs: [] as const,
  async run() {
    const figures: Record<string, number> = {};
    const notes = [
      'recovered: 1 or 0; ms: until the next object was seen; retried: 1 if the failed one was handled again',
    ];
    for (const peer of peerNames) {
      for (const fault of Object.keys(faults))
        Object.assign(figures, await measureFault(peer, fault));
      Object.assign(figures, await measureMany(peer));
    }
    return { figures, notes };
  },
};

async function measureFault(peer: PeerName, fault: string): Promise<Record<string, number>> {
  await using server = await FaultServer.start();
  server.put('before', 1);
  await using watcher = await startPeer(peer, server);
  await watcher.sees('before');
  await waitForWatch(server);
  faults[fault]?.(server);
  const started = performance.now();
  server.put('after', 1);
  const isRecovered = await watcher.sees('after');
  const name = `${fault}.${peer}`;
  return {
    [`${name}.recovered`]: Number(isRecovered),
    ...(isRecovered && { [`${name}.ms`]: Math.round(performance.now() - started) }),
    ...(fault === 'throwing-handler' && {
      [`${name}.retried`]: Number(await watcher.sees('poisoned', 2)),
    }),
  };
}

/** From the start of the process until its handler has seen all of 10,000 objects. */
async function measureMany(peer: PeerName): Promise<Record<string, number>> {
  await using server = await FaultServer.start();
  for (let i = 0; i < manyObjects; i++) server.put(`thing-${i}`, i === poison ? 0 : i);
  const started = performance.now();
  await using watcher = await startPeer(peer, server);
  const sawAll = await watcher.until(() => watcher.seen.size >= manyObjects, 6 * patienceMs);
  const name = `objects10k.${peer}`;
  if (!sawAll) return { [`${name}.seen`]: watcher.seen.size };
  const seconds = (performance.now() - started) / 1_000;
  const usage = await watcher.usage();
  return {
    [`${name}.seconds`]: seconds,
    [`${name}.cpuSeconds`]: usage.cpuSeconds,
    [`${name}.residentMiB`]: Math.round(usage.residentBytes / 2 ** 20),
  };
}

/** A peer watches once it has a watch open; give up silently, since the next step will tell. */
async function waitForWatch(server: FaultServer): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (server.watchers === 0 && performance.now() < deadline) await systemClock.sleep(5);
}

class Watcher implements AsyncDisposable {
  /** How often the handler saw each object. */
  readonly seen = new Map<string, number>();
  #usage = Promise.withResolvers<Usage>();
  readonly #child: ChildProcess;
  readonly #dir: string;

  constructor(child: ChildProcess, dir: string) {
    this.#child = child;
    this.#dir = dir;
    child.on('message', (message) => {
      const told = message as Told;
      if ('usage' in told) this.#usage.resolve(told.usage);
      else this.seen.set(told.seen, (this.seen.get(told.seen) ?? 0) + 1);
    });
  }

  /** Of the peer's whole life. */
  usage(): Promise<Usage> {
    this.#child.send('usage');
    return this.#usage.promise;
  }

  sees(name: string, times = 1): Promise<boolean> {
    return this.until(() => (this.seen.get(name) ?? 0) >= times, patienceMs);
  }

  /** False if it did not come to it in time, or the process ended before. */
  async until(isReached: () => boolean, timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    while (!isReached() && performance.now() < deadline) {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) break;
      await systemClock.sleep(5);
    }
    return isReached();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.kill('SIGKILL');
      await ended;
    }
    await rm(this.#dir, { recursive: true, force: true });
  }
}

async function startPeer(peer: PeerName, server: FaultServer): Promise<Watcher> {
  const dir = await mkdtemp(join(tmpdir(), 'bench-recovery-'));
  const kubeconfig = join(dir, 'kubeconfig');
  const cluster = { server: server.url, 'insecure-skip-tls-verify': true };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user: { token: 't' } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const program = new URL('./runtime-recovery-peer.ts', import.meta.url);
  const child = fork(program, [peer], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  return new Watcher(child, dir);
}
