/**
 * Argo CD's programs and kustomize, built from their Go modules and kept outside the tree.
 *
 * Guarantees: Argo CD's own commands in one program (main.go says which), with the versions that its go.mod
 * asks for; its CRDs come from the same module.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runCommand } from '@cloudlet/runtime/base';
import { buildGo, moduleHash } from '../binaries.ts';
import { cacheDir } from '../host.ts';
import type { Progress } from '../progress.ts';
import { ensureTools, type Tool } from '../tools.ts';

const source = import.meta.dirname;
const module = 'github.com/argoproj/argo-cd/v3';

/** Argo CD keeps its cache in Redis, and fetches with git. */
const tools: readonly Tool[] = [
  ['redis-server', 'redis-server'],
  ['git', 'git'],
];

const packages = {
  'argocd-bed': '.',
  kustomize: 'sigs.k8s.io/kustomize/kustomize/v5',
} as const;

export interface ArgoPrograms {
  /** Argo CD's programs, by their names as the first argument; and `judge`. */
  readonly argocd: string;
  /** Folder with a program called kustomize. */
  readonly path: string;
  /** Folder of Argo CD's CRDs. */
  readonly crds: string;
}

/** @throws TerminalError when a tool or Go is missing, or a build fails. */
export async function ensureArgoPrograms(
  progress: Progress,
  signal?: AbortSignal,
): Promise<ArgoPrograms> {
  await ensureTools(progress, tools);
  const main = readFileSync(join(source, 'main.go'), 'utf8');
  const path = cacheDir('bin', moduleHash(source, { 'main.go': main }));
  for (const [name, pathInModule] of Object.entries(packages)) {
    const binary = join(path, name);
    if (existsSync(binary)) continue;
    await buildGo({
      ...{ name, source, path: pathInModule, binary, progress },
      ...(signal && { signal }),
    });
  }
  const list = ['list', '-m', '-f', '{{.Dir}}', module];
  const { stdout } = await runCommand('go', list, { cwd: source, timeoutMs: 60_000 });
  return { argocd: join(path, 'argocd-bed'), path, crds: join(stdout.trim(), 'manifests', 'crds') };
}

export interface Judged {
  readonly health: string;
  readonly healthMessage: string;
  readonly kstatus: string;
}

/** What Argo CD's Lua interpreter and kstatus make of objects. */
export async function judge(
  { argocd }: ArgoPrograms,
  questions: readonly { readonly script: string; readonly object: object }[],
): Promise<readonly Judged[]> {
  const input = JSON.stringify(questions);
  const { stdout } = await runCommand(argocd, ['judge'], { input, timeoutMs: 60_000 });
  return JSON.parse(stdout) as Judged[];
}
