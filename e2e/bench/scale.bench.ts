/**
 * A thousand sites with ten instances each: every figure of the scale bed that the project has a target for,
 * and the rest of its phases. The region is the bench's own. `npm run scale` runs single phases.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { costTable, writeReport } from '../scale/report.ts';
import { phaseNames, runScale } from '../scale/run.ts';
import { repositoryRoot } from '../testbed/index.ts';
import type { Bench, BenchResult } from './contract.ts';
import { ensurePeer, peerReadySeconds } from './controller-runtime/probes.ts';

const sites = 1_000;
const instances = 10;
/** For its charts, as `npm run scale` has by default. */
export const scaleFolder = join(repositoryRoot, 'dist', 'scale');

export const bench: Bench = {
  prefix: 'scale',
  needs: ['controlplane'],
  isNamedInFull: true,
  async run({ dir, progress, signal }): Promise<BenchResult> {
    const peer = await ensurePeer(progress, signal);
    const peerKey = `ready.${sites}.controllerRuntime`;
    const result: { figures: Record<string, number>; failures: string[] } = {
      figures: {},
      failures: [],
    };
    await runScale(
      {
        ...{ sites, instances, dir, progress, signal, enrol: 'joined', relay: true },
        perProcess: 250,
        phases: phaseNames,
        before: async ({ client, controlPlane }) => {
          const { kubeconfig } = controlPlane;
          const seconds = await peerReadySeconds({ client, kubeconfig, peer, dir, signal }, sites);
          return { figures: { [peerKey]: seconds } };
        },
      },
      async (run) => {
        const { phases, figures } = run;
        await writeReport(run, scaleFolder);
        progress(`${costTable(phases)}\ncharts: ${scaleFolder}`);
        result.figures = { ...figures };
        result.failures = phases.flatMap(({ name, failure }) =>
          failure === undefined ? [] : [`${name}: ${failure}`],
        );
      },
    );
    const { [`ready.${sites}.appinsts`]: ours, [peerKey]: theirs } = result.figures;
    if (ours !== undefined && theirs !== undefined)
      result.figures[`ready.${sites}.ratio`] = ours / theirs;
    return {
      figures: result.figures,
      notes: [
        `load of the machine at the end: ${loadavg()
          .map((load) => load.toFixed(1))
          .join(', ')}`,
        ...result.failures,
      ],
    };
  },
};
