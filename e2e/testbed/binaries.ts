/**
 * The control plane's programs, built from their Go modules and kept outside the tree.
 *
 * Guarantees: built once for each content of go.mod and go.sum (a folder named by their hash), so a changed
 * version never meets an old binary; a program appears under its name only when it is complete; the screen
 * shows what is built and for how long.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand, systemClock, TerminalError } from '@cloudlet/runtime/base';
import { cacheDir } from './host.ts';
import { noProgress, type Progress } from './progress.ts';
import { findCommand } from './tools.ts';

const modules = {
  controlplane: {
    'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
    'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
    kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  },
  'controlplane/etcd': { etcd: 'go.etcd.io/etcd/server/v3' },
} as const;

export interface ControlPlaneBinaries {
  readonly etcd: string;
  readonly 'kube-apiserver': string;
  readonly 'kube-controller-manager': string;
  readonly kubectl: string;
}

/**
 * Builds what is missing of the control plane's programs (minutes when cold) and says where they are.
 * @throws TerminalError when Go is missing or too old, or a build fails.
 */
export async function ensureControlPlaneBinaries(
  progress: Progress = noProgress,
  signal?: AbortSignal,
): Promise<ControlPlaneBinaries> {
  const built: Record<string, string> = {};
  for (const [folder, programs] of Object.entries(modules)) {
    const source = fileURLToPath(new URL(`./${folder}`, import.meta.url));
    const target = cacheDir('bin', moduleHash(source));
    for (const [name, path] of Object.entries(programs)) {
      const binary = join(target, name);
      if (!existsSync(binary)) {
        await buildGo({ name, source, path, binary, progress, ...(signal && { signal }) });
      }
      built[name] = binary;
    }
  }
  return built as unknown as ControlPlaneBinaries;
}

function moduleHash(source: string): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(source, file)));
  return hash.digest('hex').slice(0, 12);
}

export interface GoBuild {
  readonly name: string;
  /** Folder of go.mod. */
  readonly source: string;
  /** Package to build. */
  readonly path: string;
  /** The file to make. */
  readonly binary: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

/** Builds one Go program; the file is there complete or not at all. */
export async function buildGo(build: GoBuild): Promise<void> {
  if (findCommand('go') === undefined) {
    throw new TerminalError(
      'MissingTool',
      'missing go: install Go 1.21 or later, from https://go.dev/dl or as a package of your system',
    );
  }
  mkdirSync(join(build.binary, '..'), { recursive: true });
  const startedMs = systemClock.monotonic();
  const seconds = (): string => `${Math.round((systemClock.monotonic() - startedMs) / 1000)} s`;
  build.progress(`building ${build.name} (${build.path}) ...`);
  const aside = `${build.binary}.${process.pid}.part`;
  const stopTelling = everyHalfMinute(() =>
    build.progress(`still building ${build.name}, ${seconds()}`),
  );
  try {
    await runCommand('go', ['build', '-ldflags', '-s -w', '-trimpath', '-o', aside, build.path], {
      cwd: build.source,
      env: { CGO_ENABLED: '0', ...build.env },
      timeoutMs: 45 * 60_000,
      ...(build.signal && { signal: build.signal }),
    });
  } catch (cause) {
    build.signal?.throwIfAborted();
    throw new TerminalError('BuildFailed', `${build.name} cannot be built`, { cause });
  } finally {
    stopTelling();
  }
  renameSync(aside, build.binary);
  build.progress(`built ${build.name} in ${seconds()}`);
}

function everyHalfMinute(action: () => void): () => void {
  const timer = setInterval(action, 30_000);
  timer.unref();
  return () => clearInterval(timer);
}
