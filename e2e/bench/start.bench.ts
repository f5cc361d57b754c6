/** What a newcomer waits for the second time: `npm start -- --once` with everything cached. */
import { repositoryRoot } from '../testbed/index.ts';
import type { Bench, BenchResult } from './contract.ts';
import { startSeconds } from './start-seconds.ts';

export const bench: Bench = {
  prefix: 'start.warm',
  needs: [],
  async run({ signal }): Promise<BenchResult> {
    const seconds = await startSeconds({ cwd: repositoryRoot, timeoutMs: 15 * 60_000, signal });
    return { figures: { seconds } };
  },
};
