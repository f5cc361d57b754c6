/**
 * From the end of a container on a phone until the AppInst's status says so: 100 containers killed one after
 * another, on all phones in turn.
 */
import type { AppInst } from '@cloudlet/crds';
import type { Phone } from '../testbed/index.ts';
import type { Bench, BenchResult } from './contract.ts';
import { percentile, type SwarmBed, swarmBed } from './swarm-bed.ts';

const kills = 100;

export const bench: Bench = {
  prefix: 'statusToResource',
  needs: ['controlplane', 'phones', 'region'],
  async run(context): Promise<BenchResult> {
    await using bed = await swarmBed(context);
    await bed.apply('web', 3);
    const ms: number[] = [];
    for (let index = 0; index < kills; index++) {
      context.signal.throwIfAborted();
      const phone = bed.phones[index % bed.phones.length];
      const took = phone && (await killOnce(bed, phone));
      if (took !== undefined) ms.push(took);
    }
    const all = [0.5, 0.99].map((share) => percentile(ms, share));
    return {
      figures: { 'swarm.p50': all[0] ?? Number.NaN, 'swarm.p99': all[1] ?? Number.NaN },
      notes: [`${ms.length} containers were killed`],
    };
  },
};

const isWhole = ({ status }: AppInst): boolean =>
  status?.instances?.length === 3 && status.instances.every(({ state }) => state === 'running');

/** Undefined where no task is on the phone. */
async function killOnce(bed: SwarmBed, phone: Phone): Promise<number | undefined> {
  await bed.whenever('web', isWhole);
  const filter = ['--filter', 'label=com.docker.swarm.service.name'];
  const [container] = (await phone.docker(['ps', '--quiet', ...filter])).split('\n');
  if (!container) return undefined;
  const told = bed.whenever('web', (appInst) => !isWhole(appInst));
  await phone.docker(['kill', container]);
  const start = performance.now();
  await told;
  return performance.now() - start;
}
