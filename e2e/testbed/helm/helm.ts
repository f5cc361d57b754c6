/** Helm, built from its Go module as the control plane's programs are, against one kubeconfig. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandOptions, runCommand } from '@cloudlet/runtime/base';
import { buildGo, moduleHash } from '../binaries.ts';
import { cacheDir, stateDir } from '../host.ts';
import { noProgress, type Progress } from '../progress.ts';
import { findCommand } from '../tools.ts';

/** Why there is no Helm on this machine, or undefined. */
export function helmUnavailable(): string | undefined {
  const isBuilt = existsSync(helmBinary());
  return isBuilt || findCommand('go') !== undefined
    ? undefined
    : 'helm is built with Go, which is missing: install Go 1.21 or later';
}

/** What Helm's own build sets: its version, and the Kubernetes that it takes for granted without a cluster. */
const variables = {
  'helm.sh/helm/v3/internal/version.version': 'v3.22.0',
  'helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor': '1',
  'helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor': '36',
};

const helmBinary = (): string => cacheDir('bin', `${moduleHash(import.meta.dirname)}-1.36`, 'helm');

/** @throws TerminalError when Go is missing, or the build fails. */
export async function ensureHelm(progress: Progress = noProgress): Promise<string> {
  const binary = helmBinary();
  if (!existsSync(binary)) {
    const path = 'helm.sh/helm/v3/cmd/helm';
    const source = import.meta.dirname;
    await buildGo({ name: 'helm', source, path, binary, variables, progress });
  }
  return binary;
}

export type Helm = (args: readonly string[], options?: CommandOptions) => Promise<string>;

/** Runs helm and gives its standard output; without a kubeconfig it reaches no cluster. */
export async function helmOf(kubeconfig = '/dev/null'): Promise<Helm> {
  const binary = await ensureHelm();
  const home = stateDir('helm');
  const env = {
    HELM_CACHE_HOME: join(home, 'cache'),
    HELM_CONFIG_HOME: join(home, 'config'),
    HELM_DATA_HOME: join(home, 'data'),
    KUBECONFIG: kubeconfig,
  };
  return async (args, options = {}) => {
    const { stdout } = await runCommand(binary, args, { timeoutMs: 120_000, ...options, env });
    return stdout;
  };
}
