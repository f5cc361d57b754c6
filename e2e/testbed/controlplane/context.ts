/**
 * A control plane that is there already: one context of the user's kubeconfig, named by the user.
 *
 * Guarantees: never picks a context by itself, never changes the user's kubeconfig (it writes a copy of the
 * one context), and `stop` leaves the cluster as it is.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand, TerminalError } from '@cloudlet/runtime/base';
import { ensureControlPlaneBinaries } from '../binaries.ts';
import { noProgress, type Progress } from '../progress.ts';
import { findCommand } from '../tools.ts';
import type { ControlPlane } from './embedded.ts';
import { kubectlOf } from './kubectl.ts';

export interface ContextOptions {
  readonly dir: string;
  /** Name of the context. */
  readonly context: string;
  readonly progress?: Progress;
}

export async function openContext(options: ContextOptions): Promise<ControlPlane> {
  const { dir, context, progress = noProgress } = options;
  const kubectlPath =
    findCommand('kubectl') ?? (await ensureControlPlaneBinaries(progress)).kubectl;
  const view = ['config', 'view', '--minify', '--flatten', '--raw', '-o', 'json'];
  let text: string;
  try {
    text = (await runCommand(kubectlPath, [...view, '--context', context])).stdout;
  } catch (cause) {
    throw new TerminalError('UnknownContext', `the kubeconfig has no context ${context}`, {
      cause,
    });
  }
  const config = JSON.parse(text) as { clusters?: { cluster: { server: string } }[] };
  const kubeconfig = join(dir, 'kubeconfig');
  mkdirSync(dir, { recursive: true });
  writeFileSync(kubeconfig, text, { mode: 0o600 });
  const kubectl = kubectlOf(kubectlPath, kubeconfig);
  await kubectl(['get', '--raw', '/readyz']);
  return {
    provider: 'context',
    kubeconfig,
    server: config.clusters?.[0]?.cluster.server ?? '',
    kubectl,
    kubectlPath,
    stop: async () => undefined,
  };
}
