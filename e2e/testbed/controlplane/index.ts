/** The region's Kubernetes: an embedded control plane, or a context that the user names. */
import { TerminalError } from '@cloudlet/runtime/base';
import { join } from 'node:path';
import { ensureControlPlaneBinaries } from '../binaries.ts';
import { noProgress, type Progress } from '../progress.ts';
import { openContext } from './context.ts';
import { type ControlPlane, type EmbeddedControlPlane, startEmbedded } from './embedded.ts';
import { kubectlOf } from './kubectl.ts';

export interface ControlPlaneOptions {
  /** Holds data, logs and the kubeconfig; two control planes never share one. */
  readonly dir: string;
  readonly progress?: Progress;
  /** More flags of an embedded API server. */
  readonly apiserverFlags?: readonly string[];
  /** Whether an embedded API server keeps an audit log of our kinds. @default false */
  readonly audit?: boolean;
}

export interface ProviderOptions extends ControlPlaneOptions {
  readonly provider: 'embedded' | 'context';
  /** Name of the context; required by provider `context`, which it implies. */
  readonly context?: string | undefined;
}

/** Starts an embedded control plane: ready in seconds, gone with `stop` or with this process. */
export function startControlPlane(options: ControlPlaneOptions): Promise<EmbeddedControlPlane> {
  return startEmbedded(options);
}

export async function provideControlPlane(options: ProviderOptions): Promise<ControlPlane> {
  const context = checkProvider(options);
  return context === undefined ? startEmbedded(options) : openContext({ ...options, context });
}

/**
 * The context that was asked for; none is ever taken that was not named.
 * @throws TerminalError (`InvalidFlags`) unless provider and context fit each other.
 */
export function checkProvider({
  provider,
  context,
}: Pick<ProviderOptions, 'provider' | 'context'>): string | undefined {
  if (provider === 'context' && context === undefined) {
    throw new TerminalError('InvalidFlags', '--provider context wants --context NAME');
  }
  return context;
}

/** A control plane that another process started and stops. */
export async function openControlPlane(
  kubeconfig: string,
  progress: Progress = noProgress,
): Promise<ControlPlane> {
  const { kubectl: kubectlPath } = await ensureControlPlaneBinaries(progress);
  const kubectl = kubectlOf(kubectlPath, kubeconfig);
  const server = await kubectl(['config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}']);
  return {
    provider: 'embedded',
    kubeconfig,
    server,
    kubectl,
    kubectlPath,
    stop: async () => undefined,
  };
}

/** The control plane of the test run (`CLOUDLET_TEST_KUBECONFIG`), or one of its own where there is none. */
export async function controlPlaneForTest(dir: string): Promise<ControlPlane> {
  const kubeconfig = process.env['CLOUDLET_TEST_KUBECONFIG'];
  return kubeconfig ? openControlPlane(kubeconfig) : startEmbedded({ dir: join(dir, 'region') });
}
