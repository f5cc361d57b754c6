/**
 * How much memory a cache of AppInsts takes, for each thousand: a process of its own opens an informer as the
 * operator does, and tells its heap before and after, both times after a full collection.
 */
import { fileURLToPath } from 'node:url';
import type { AppInst } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { runCommand, silentLogger, systemClock } from '@cloudlet/runtime/base';
import { createClient, createInformer } from '@cloudlet/runtime/kubernetes';

/** MiB for each thousand AppInsts of the region. */
export async function measureCache(kubeconfig: string): Promise<number> {
  const program = fileURLToPath(import.meta.url);
  const { stdout } = await runCommand(process.execPath, ['--expose-gc', program, kubeconfig], {
    timeoutMs: 120_000,
  });
  return Number(stdout);
}

async function measureHere(kubeconfig: string): Promise<number> {
  const client = createClient({
    kubeconfig,
    logger: silentLogger,
    clock: systemClock,
    userAgent: 'cloudlet-scale',
  });
  await client.request('GET', '/apis/edge.cloudlet.dev/v1alpha1/appinsts?limit=1'); // opens what any call opens
  const before = heapMib();
  const informer = createInformer<AppInst>(client, resourceTypes.AppInst, {
    indexes: { id: ({ metadata }) => [metadata.uid ?? ''] },
  });
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  await informer.synced();
  await systemClock.sleep(500);
  const after = heapMib();
  const count = informer.cache.list().length;
  stop.abort(new Error('measured'));
  await running;
  await client.close();
  return ((after - before) / count) * 1_000;
}

function heapMib(): number {
  const collect = (globalThis as { gc?: () => void }).gc;
  collect?.();
  collect?.();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.stdout.write(String(await measureHere(process.argv[2] ?? '')));
