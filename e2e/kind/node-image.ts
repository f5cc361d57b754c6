/**
 * The image of a node, for where none can be pulled: a small Debian with systemd, containerd and kubelet, and
 * in it the images of the cluster's own pods under the names that kubeadm gives them.
 *
 * Guarantees: made of Debian packages and Go modules alone; built again only when one of its programs or files
 * changes; nothing is installed on this machine for it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { contentHash, runCommand, TerminalError } from '@cloudlet/runtime/base';
import { ownArchitecture, writeArchive } from '../images/oci.ts';
import {
  buildImage,
  cacheDir,
  type ImageFile,
  type ImageOptions,
  type Progress,
  writeDockerArchive,
} from '../testbed/index.ts';
import type { Engine } from './engine.ts';
import { ensurePrograms, kubernetesVersion, type Programs } from './programs.ts';

/** Name of the image of a node, without the tag, which is a hash of what it is made of. */
const repository = 'cloudlet-kind-node';

/** For systemd and containerd, and what the scripts of a node, kind and kubeadm call. */
const packages = [
  ...['systemd', 'runc', 'containernetworking-plugins', 'iproute2', 'iptables', 'nftables', 'kmod'],
  ...['coreutils', 'dash', 'findutils', 'grep', 'hostname', 'mawk', 'mount', 'sed'],
  ...['tar', 'util-linux'],
];

const sources = join(import.meta.dirname, 'node');
const source = (name: string): string => readFileSync(join(sources, name), 'utf8');

/** @returns the image's name; the engine has it. */
export async function ensureNodeImage(
  engine: Engine,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const programs = await ensurePrograms(['kubernetes', 'containerd', 'coredns'], progress, signal);
  const name = `${repository}:${nodeHash(programs)}`;
  if (await engine.hasImage(name)) return name;
  progress(`making the node image ${name}`);
  const cache = cacheDir('kind', 'making');
  rmSync(cache, { recursive: true, force: true });
  mkdirSync(cache, { recursive: true });
  try {
    const components = await componentNames(programs);
    const archives = await archivesOf(components, programs, { cache, progress, signal });
    const pause = components.find((component) => componentIn(component) === 'pause') ?? '';
    const image = await buildImage({
      ...{ name, architecture: ownArchitecture, packages, cache, progress },
      files: nodeFiles({ programs, archives, pause }),
      entrypoint: ['/usr/local/bin/entrypoint'],
      env: { container: 'docker' },
      stopSignal: 'SIGRTMIN+3',
    });
    signal.throwIfAborted();
    const archive = join(cache, 'node.tar');
    await writeDockerArchive(image, archive);
    progress('loading it into the engine');
    await engine.docker(['load', '--quiet', '--input', archive], { timeoutMs: 600_000, signal });
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
  await removeOlder(engine, name);
  return name;
}

/** Programs are known by their paths, which name what they were built of. */
function nodeHash(programs: Programs): string {
  const texts = readdirSync(sources)
    .sort()
    .map((name) => [name, source(name)]);
  const built = Object.values(programs)
    .map((path) => path.split('/').slice(-2))
    .sort();
  return contentHash({ format: 1, packages, texts, built }, 12);
}

async function removeOlder(engine: Engine, name: string): Promise<void> {
  const format = ['--format', '{{.Repository}}:{{.Tag}}'];
  const names = (await engine.docker(['image', 'ls', ...format, repository])).split('\n');
  const older = names.filter((other) => other.startsWith(`${repository}:`) && other !== name);
  // Fails where a cluster of somebody runs on it, which then keeps it.
  for (const other of older) await engine.docker(['image', 'rm', other], { allow: [1] });
}

interface Making {
  readonly cache: string;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** Image archives of all that kubeadm's pods consist of. */
async function archivesOf(
  components: readonly string[],
  programs: Programs,
  { cache, progress, signal }: Making,
): Promise<readonly string[]> {
  const archives: string[] = [];
  for (const name of components) {
    signal.throwIfAborted();
    const image = await buildImage({
      ...{ name, architecture: ownArchitecture, cache, progress },
      ...componentOf(componentIn(name), programs),
    });
    const file = join(cache, `${componentIn(name)}.tar`);
    await writeArchive([image], file);
    archives.push(file);
  }
  return archives;
}

/** `registry.k8s.io/coredns/coredns:v1.14.2` is coredns. */
const componentIn = (name: string): string => basename(name).split(':')[0] ?? name;

/** What kubeadm of this version calls them. */
async function componentNames(programs: Programs): Promise<readonly string[]> {
  const list = ['config', 'images', 'list', '--kubernetes-version', kubernetesVersion()];
  const { stdout } = await runCommand(programs['kubeadm'] ?? '', list);
  return stdout.split('\n').filter((line) => line !== '');
}

function componentOf(component: string, programs: Programs): Partial<ImageOptions> {
  const program = (name: string): ImageFile => ({ from: programs[name] ?? '' });
  switch (component) {
    case 'kube-apiserver':
    case 'kube-controller-manager':
    case 'kube-scheduler':
    case 'etcd':
      return { files: { [`/usr/local/bin/${component}`]: program(component) } };
    case 'kube-proxy':
      return { files: { '/usr/local/bin/kube-proxy': program(component) }, packages: ['nftables'] };
    case 'coredns':
      return { files: { '/coredns': program(component) }, entrypoint: ['/coredns'] };
    case 'pause':
      return { packages: ['catatonit'], entrypoint: ['/usr/bin/catatonit', '-P'] };
    default:
      throw new TerminalError('UnknownImage', `kubeadm asks for ${component}, which nobody makes`);
  }
}

interface NodeParts {
  readonly programs: Programs;
  readonly archives: readonly string[];
  /** Name of the image that holds a pod's namespaces. */
  readonly pause: string;
}

function nodeFiles({ programs, archives, pause }: NodeParts): Record<string, ImageFile> {
  const bin = ['kubelet', 'kubeadm', 'kubectl', 'containerd', 'containerd-shim-runc-v2', 'ctr'];
  const units = ['multi-user.target', 'containerd.service', 'images.service', 'kubelet.service'];
  const text = (name: string): ImageFile => ({ content: source(name) });
  const script = (name: string): ImageFile => ({ content: source(name), mode: 0o755 });
  const under = (
    folder: string,
    names: readonly string[],
    file: (name: string) => ImageFile,
  ): Record<string, ImageFile> =>
    Object.fromEntries(names.map((name) => [`${folder}/${basename(name)}`, file(name)]));
  return {
    ...under('/usr/local/bin', bin, (name) => ({ from: programs[name] ?? '' })),
    ...under('/etc/systemd/system', units, text),
    ...under('/kind/images', archives, (path) => ({ from: path, mode: 0o644 })),
    '/usr/local/bin/entrypoint': script('entrypoint.sh'),
    '/usr/local/lib/node/load-images': script('load-images.sh'),
    '/usr/local/lib/node/pod-groups': script('pod-groups.sh'),
    '/etc/containerd/config.toml': { content: source('containerd.toml').replace('@PAUSE@', pause) },
    '/etc/containerd/certs.d/_default/hosts.toml': text('hosts.toml'),
    '/etc/cni/net.d/10-pods.conflist': text('pods.conflist'),
    '/etc/nsswitch.conf': { content: 'hosts: files dns\n' },
    '/kind/version': { content: `${kubernetesVersion()}\n` },
    '/kind/manifests/default-cni.yaml': text('network.yaml'),
    '/kind/manifests/default-storage.yaml': text('storage.yaml'),
    // What Debian's maintainer scripts link.
    '/usr/bin/awk': { linkTo: 'mawk' },
    '/usr/sbin/iptables': { linkTo: 'xtables-nft-multi' },
    '/usr/sbin/ip6tables': { linkTo: 'xtables-nft-multi' },
    '/var/run': { linkTo: '/run' },
  };
}
