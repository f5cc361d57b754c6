/** How often the API server writes an AppInst from its apply until it is Ready and quiet, on a real site. */
import { systemClock } from '@cloudlet/runtime/base';
import type { Bench, BenchResult } from './contract.ts';
import { swarmBed } from './swarm-bed.ts';

const applies = 20;
/** A write that says nothing new would come a moment later. */
const quietMs = 1000;

export const bench: Bench = {
  prefix: 'writes',
  needs: ['controlplane', 'phones', 'region'],
  async run(context): Promise<BenchResult> {
    await using bed = await swarmBed(context);
    const counts: number[] = [];
    for (let index = 0; index < applies; index++) {
      const name = `w${index}`;
      const versions = new Set<string>();
      const subscription = bed.appInsts.subscribe(({ type, object: { metadata } }) => {
        if (type !== 'Deleted' && metadata.name === name) versions.add(metadata.resourceVersion);
      });
      await bed.apply(name);
      await bed.whenever(name, ({ status }) =>
        Boolean(
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
        ),
      );
      await systemClock.sleep(quietMs, context.signal);
      subscription.unsubscribe();
      counts.push(versions.size - 1); // the apply itself is the user's
      await bed.remove(name);
    }
    return {
      figures: { perAppInst: Math.max(...counts) },
      notes: [`the most of ${applies}; the mean is ${mean(counts).toFixed(2)}`],
    };
  },
};

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
