/** What a newcomer waits for: `npm start -- --once` with everything cached, until its URL answers. */
import { runCommand } from '@cloudlet/runtime/base';
import { repositoryRoot } from '../testbed/index.ts';
import type { Bench, BenchResult } from './contract.ts';

export const bench: Bench = {
  prefix: 'start',
  needs: [],
  async run({ signal }): Promise<BenchResult> {
    let answeredAfter = Number.NaN;
    await runCommand('npm', ['start', '--', '--once'], {
      cwd: repositoryRoot,
      timeoutMs: 15 * 60_000,
      signal,
      onOutput: (text) => {
        const line = /\[\s*([\d.]+) s\] http\S+ says: version 1 /.exec(text);
        if (line) answeredAfter = Number(line[1]);
      },
    });
    return { figures: { 'warm.seconds': answeredAfter } };
  },
};
