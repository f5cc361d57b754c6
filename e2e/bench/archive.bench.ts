/** Size of the agent's archive, of the architecture for which it is largest. */
import { statSync } from 'node:fs';
import { packAgent } from '../images/agent-archive.ts';
import { architecturesOf, bundleOf } from '../images/product.ts';
import type { Bench } from './contract.ts';

export const bench: Bench = {
  prefix: 'archive',
  needs: [],
  async run({ dir, signal }) {
    const bundle = await bundleOf('agent');
    const sizes = [];
    for (const architecture of architecturesOf.agent) {
      signal.throwIfAborted();
      sizes.push(statSync(await packAgent(bundle, architecture, dir)).size);
    }
    return { figures: { 'agent.mib': Math.max(...sizes) / 2 ** 20 } };
  },
};
