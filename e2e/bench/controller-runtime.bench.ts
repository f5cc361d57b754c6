/**
 * The same single status apply by the smallest operator of controller-runtime and by ours, in turns, on the
 * same API server: how many a second, from the first to the last of a thousand.
 */
import { silentLogger, systemClock } from '@cloudlet/runtime/base';
import { createClient } from '@cloudlet/runtime/kubernetes';
import type { Bench, BenchResult } from './contract.ts';
import { ensurePeer, openProbes, type Operator, ratesOf } from './controller-runtime/probes.ts';
import { percentile } from './swarm-bed.ts';

const objects = 1_000;
const rounds = 3;

export const bench: Bench = {
  prefix: 'runtime',
  needs: ['controlplane'],
  async run({ kubeconfig = '', dir, progress, signal }): Promise<BenchResult> {
    const peer = await ensurePeer(progress, signal);
    const client = createClient({
      ...{ kubeconfig, logger: silentLogger, clock: systemClock, userAgent: 'cloudlet-bench' },
      connections: 16,
    });
    try {
      await using bed = await openProbes({ client, kubeconfig, peer, dir, signal });
      const rates = { controllerRuntime: [] as number[], ours: [] as number[] };
      const seconds = { controllerRuntime: [] as number[], ours: [] as number[] };
      const operators: readonly Operator[] = ['controllerRuntime', 'ours'];
      for (let round = 0; round < rounds; round++)
        for (const operator of operators) {
          const took = await ratesOf(bed, operator, objects);
          rates[operator].push(took.perSecond);
          seconds[operator].push(took.seconds);
        }
      const middle = (values: readonly number[]): number => percentile(values, 0.5);
      return {
        figures: {
          vsControllerRuntime: middle(rates.ours) / middle(rates.controllerRuntime),
          'ours.perSecond': middle(rates.ours),
          'controllerRuntime.perSecond': middle(rates.controllerRuntime),
          'ours.startToDone': middle(seconds.ours),
          'controllerRuntime.startToDone': middle(seconds.controllerRuntime),
        },
        notes: [`medians of ${rounds} rounds of ${objects} objects, in turns`],
      };
    } finally {
      await client.close();
    }
  },
};
