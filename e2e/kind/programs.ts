/**
 * kind, and the programs that a node of it runs, built from their Go modules.
 *
 * Guarantees: built once for each content of a module and kept outside the tree, as those of the test bed's
 * control plane are; API server, controller manager, kubectl and etcd are those of the test bed.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentHash } from '@cloudlet/runtime/base';
import {
  buildGo,
  cacheDir,
  ensureControlPlaneBinaries,
  noProgress,
  type Progress,
  versionVariables,
} from '../testbed/index.ts';

const folder = join(import.meta.dirname, 'programs');

/** Package of each program, by the folder of the module that says which version. */
const modules = {
  kind: { kind: 'sigs.k8s.io/kind' },
  fit: { fit: '.' },
  kubernetes: {
    kubelet: 'k8s.io/kubernetes/cmd/kubelet',
    kubeadm: 'k8s.io/kubernetes/cmd/kubeadm',
    'kube-proxy': 'k8s.io/kubernetes/cmd/kube-proxy',
    'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  },
  containerd: {
    containerd: 'github.com/containerd/containerd/v2/cmd/containerd',
    'containerd-shim-runc-v2': 'github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2',
    ctr: 'github.com/containerd/containerd/v2/cmd/ctr',
  },
  coredns: { coredns: '.' },
} as const;

type Module = keyof typeof modules;

/** Path of each program. */
export type Programs = Readonly<Record<string, string>>;

/** Of what node and cluster are made of, as go.mod has it. @throws where it is not there. */
export function versionOf(module: Module, name: string): string {
  const text = readFileSync(join(folder, module, 'go.mod'), 'utf8');
  const version = new RegExp(`^\\s*(?:require )?${name} (v\\S+)`, 'm').exec(text)?.[1];
  if (version === undefined) throw new Error(`${module}/go.mod does not require ${name}`);
  return version;
}

export const kubernetesVersion = (): string => versionOf('kubernetes', 'k8s.io/kubernetes');

interface Program {
  readonly name: string;
  /** Folder of the module. */
  readonly source: string;
  /** Package in it. */
  readonly path: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly binary: string;
}

function programsOf(module: Module): readonly Program[] {
  const source = join(folder, module);
  const variables = versionVariables(source);
  const target = cacheDir('bin', `${module}-${hashOf(source, variables)}`);
  return Object.entries(modules[module]).map(([name, path]) => ({
    ...{ name, source, path, variables },
    binary: join(target, name),
  }));
}

/** The test bed's own programs and those of some modules; minutes for each when cold. */
export async function ensurePrograms(
  wanted: readonly Module[],
  progress: Progress = noProgress,
  signal?: AbortSignal,
): Promise<Programs> {
  const built: Record<string, string> = { ...(await ensureControlPlaneBinaries(progress, signal)) };
  for (const program of wanted.flatMap(programsOf)) {
    built[program.name] = program.binary;
    if (existsSync(program.binary)) continue;
    // The sources of ours lie in a repository that may be another user's, which Go would not ask.
    const env = { GOFLAGS: `${process.env['GOFLAGS'] ?? ''} -buildvcs=false`.trim() };
    await buildGo({ ...program, env, progress, ...(signal && { signal }) });
  }
  return built;
}

/** Names of what has not been built yet. */
export function missingPrograms(): readonly string[] {
  const all = Object.keys(modules) as Module[];
  const missing = all.flatMap(programsOf).filter(({ binary }) => !existsSync(binary));
  return missing.map(({ name }) => name);
}

/** Of go.mod, go.sum and sources of ours. */
const hashOf = (source: string, variables: object): string =>
  contentHash(
    {
      variables,
      files: readdirSync(source)
        .sort()
        .map((name) => [name, readFileSync(join(source, name), 'utf8')]),
    },
    12,
  );
