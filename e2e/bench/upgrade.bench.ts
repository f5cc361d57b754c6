/**
 * How long a site is without its region while the chart is upgraded from the version before, with a thousand
 * of them connected: the longest, as agent, condition and Lease saw it, and what else `npm run e2e:upgrade` tells.
 */
import { TerminalError } from '@cloudlet/runtime/base';
import { isRoot } from '../testbed/index.ts';
import { previousVersion } from '../upgrade/previous.ts';
import { runUpgrade } from '../upgrade/run.ts';
import type { Bench, BenchResult } from './contract.ts';

const sites = 1_000;

export const bench: Bench = {
  prefix: 'upgrade',
  needs: [],
  isNamedInFull: true,
  whenAsked: true,
  async run({ dir, signal, progress }): Promise<BenchResult> {
    if (!isRoot()) throw new TerminalError('NotRoot', 'a node of kind wants root');
    await using cleanup = new AsyncDisposableStack();
    const previous = await previousVersion(undefined, progress, signal);
    const bed = { sites, previous, dir, progress, signal, cleanup };
    const { figures, checks } = await runUpgrade(bed);
    const notes = checks.flatMap(({ name, problem }) => (problem ? [`${name}: ${problem}`] : []));
    return { figures, notes: [`from ${previous.version} (${previous.name})`, ...notes] };
  },
};
