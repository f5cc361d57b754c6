/**
 * The control plane's programs, built from their Go modules and kept outside the tree.
 *
 * Guarantees: built once for each content of go.mod, go.sum and what is linked in (a folder named by their
 * hash), so a changed version never meets an old binary; a program appears under its name only when it is
 * complete; the screen shows what is built and for how long; Kubernetes' programs name their version as its
 * releases do.
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
    const variables = versionVariables(source);
    const target = cacheDir('bin', moduleHash(source, variables));
    for (const [name, path] of Object.entries(programs)) {
      const binary = join(target, name);
      if (!existsSync(binary)) {
        await buildGo({
          name,
          source,
          path,
          binary,
          variables,
          progress,
          ...(signal && { signal }),
        });
      }
      built[name] = binary;
    }
  }
  return built as unknown as ControlPlaneBinaries;
}

/** Names the folder of what is built of a module: by go.mod, go.sum and the variables that are set. */
export function moduleHash(
  source: string,
  variables: Readonly<Record<string, string>> = {},
): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum']) hash.update(readFileSync(join(source, file)));
  if (Object.keys(variables).length > 0) hash.update(JSON.stringify(variables));
  return hash.digest('hex').slice(0, 12);
}

/** What Kubernetes' own build sets, so that the programs say which version they are; none for etcd. */
export function versionVariables(source: string): Record<string, string> {
  const module = readFileSync(join(source, 'go.mod'), 'utf8');
  const version = /^\s*k8s\.io\/kubernetes (v(\d+)\.(\d+)\.\S+)/m.exec(module);
  if (!version) return {};
  const [, gitVersion = '', gitMajor = '', gitMinor = ''] = version;
  const values = { gitVersion, gitMajor, gitMinor, gitCommit: '', gitTreeState: 'clean' };
  const packages = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];
  return Object.fromEntries(
    packages.flatMap((name) =>
      Object.entries(values).map(([variable, value]) => [`${name}.${variable}`, value]),
    ),
  );
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
  /** Go variables to set while linking, by package path and name; no spaces. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly progress: Progress;
  readonly signal?: AbortSignal;
}

const building = new Map<string, Promise<void>>();

/**
 * Builds one Go program; the file is there complete or not at all. Who asks for a file that is being built
 * gets that build.
 * @throws TerminalError (`MissingTool`, `BuildFailed`)
 */
export function buildGo(build: GoBuild): Promise<void> {
  const started =
    building.get(build.binary) ?? buildOne(build).finally(() => building.delete(build.binary));
  building.set(build.binary, started);
  return started;
}

async function buildOne(build: GoBuild): Promise<void> {
  await requireGo(build);
  mkdirSync(join(build.binary, '..'), { recursive: true });
  const startedMs = systemClock.monotonic();
  const seconds = (): string => `${Math.round((systemClock.monotonic() - startedMs) / 1000)} s`;
  build.progress(`building ${build.name} (${build.path}) ...`);
  const aside = `${build.binary}.${process.pid}.part`;
  const variables = Object.entries(build.variables ?? {});
  const flags = ['-s', '-w', ...variables.map((variable) => `-X=${variable.join('=')}`)].join(' ');
  const stopTelling = everyHalfMinute(() =>
    build.progress(`still building ${build.name}, ${seconds()}`),
  );
  try {
    await runCommand('go', ['build', '-ldflags', flags, '-trimpath', '-o', aside, build.path], {
      cwd: build.source,
      env: { CGO_ENABLED: '0', ...toolchain(), ...build.env },
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

/** Go takes a newer toolchain by itself where go.mod asks for one; Debian's Go does so only when told. */
const toolchain = (): Record<string, string> => ({
  GOTOOLCHAIN: process.env['GOTOOLCHAIN'] ?? 'auto',
});

async function requireGo({ source, progress }: GoBuild): Promise<void> {
  const advice = 'install Go 1.21 or later, from https://go.dev/dl or as a package of your system';
  if (findCommand('go') === undefined) {
    throw new TerminalError('MissingTool', `missing go: ${advice}`);
  }
  const { stdout } = await runCommand('go', ['env', 'GOVERSION'], {
    env: { GOTOOLCHAIN: 'local' },
    timeoutMs: 60_000,
  });
  const found = stdout.trim().replace(/^go/, '');
  if (isOlder(found, '1.21'))
    throw new TerminalError('MissingTool', `go ${found} is too old: ${advice}`);
  const wanted = /^go (\S+)/m.exec(readFileSync(join(source, 'go.mod'), 'utf8'))?.[1] ?? '1.21';
  if (isOlder(found, wanted)) progress(`go ${found} fetches Go ${wanted} for this build`);
}

/** Compares the first two numbers, which are those that go.mod depends on. */
function isOlder(found: string, wanted: string): boolean {
  const [foundMajor = 0, foundMinor = 0] = numbersOf(found);
  const [major = 0, minor = 0] = numbersOf(wanted);
  return foundMajor < major || (foundMajor === major && foundMinor < minor);
}

const numbersOf = (version: string): number[] =>
  version.split('.').map((part) => Number.parseInt(part, 10) || 0);

function everyHalfMinute(action: () => void): () => void {
  const timer = setInterval(action, 30_000);
  timer.unref();
  return () => clearInterval(timer);
}
