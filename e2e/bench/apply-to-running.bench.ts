/**
 * From the apply of an AppInst until its task runs on a phone and its public port answers, the image being
 * there; one at a time, 300 times. Also what each costs the API server in writes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, BenchResult } from './contract.ts';
import { percentile, type SwarmBed, swarmBed } from './swarm-bed.ts';

const applies = 300;

export const bench: Bench = {
  prefix: 'applyToRunning',
  needs: ['controlplane', 'phones', 'region'],
  async run(context): Promise<BenchResult> {
    await using bed = await swarmBed(context);
    const seconds: number[] = [];
    for (let index = 0; index < applies; index++) {
      context.signal.throwIfAborted();
      seconds.push(await applyOnce(bed, `a${index}`));
      if (index % 50 === 49) context.progress(`${index + 1} of ${applies} applies`);
    }
    return {
      figures: { 'swarm.p50': percentile(seconds, 0.5), 'swarm.p99': percentile(seconds, 0.99) },
    };
  },
};

async function applyOnce(bed: SwarmBed, name: string): Promise<number> {
  const start = performance.now();
  await bed.apply(name);
  const { status } = await bed.whenever(name, (appInst) => appInst.status?.ports !== undefined);
  const address = new URL(`http://${bed.phones[0]?.ip}:${status?.ports?.[0]?.publicPort}/`);
  const deadline = AbortSignal.timeout(60_000);
  for (;;) {
    const answered = await fetch(address, { signal: deadline }).then(
      async (response) => (await response.text()) !== '' && response.ok,
      () => false,
    );
    if (answered) break;
    deadline.throwIfAborted();
    await sleep(20);
  }
  const seconds = (performance.now() - start) / 1000;
  await bed.remove(name);
  return seconds;
}
