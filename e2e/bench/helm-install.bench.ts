/**
 * How long the chart takes on a cluster of kind: from `helm install` until all its pods are Ready and the API
 * server passes on to the access server. The node has the images, as one has that ran them before.
 */
import { installToReady } from '../kind/install.ts';
import { openKindBed, startKindBed } from '../kind/bed.ts';
import { isRoot } from '../testbed/index.ts';
import { TerminalError } from '@cloudlet/runtime/base';
import type { Bench, BenchResult } from './contract.ts';

export const bench: Bench = {
  prefix: 'helm.installToReady',
  needs: [],
  whenAsked: true,
  async run({ dir, signal, progress }): Promise<BenchResult> {
    if (!isRoot()) throw new TerminalError('NotRoot', 'a node of kind wants root');
    await using cleanup = new AsyncDisposableStack();
    const bed = await openKindBed(await startKindBed({ dir, progress, signal, cleanup }));
    return { figures: { seconds: await installToReady(bed) } };
  },
};
