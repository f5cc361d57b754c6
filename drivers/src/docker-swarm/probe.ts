/**
 * What only the node itself knows: whether its kernel has IPVS, and which architectures it emulates. Each
 * manager with an agent writes its own answers on its swarm node, where the others read them.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine } from './engine.ts';
import type { SwarmNode } from './engine-types.ts';
import { platformName } from './images.ts';
import { emulatesLabel, ipvsLabel } from './names.ts';

export interface NodeProbe {
  readonly ipvs: boolean;
  readonly emulates: readonly string[];
}

/** Interpreters of qemu-user, by name in binfmt_misc. */
const interpreters: Readonly<Record<string, string>> = {
  'qemu-arm': 'linux/arm/v7',
  'qemu-aarch64': 'linux/arm64',
  'qemu-x86_64': 'linux/amd64',
  'qemu-riscv64': 'linux/riscv64',
  'qemu-ppc64le': 'linux/ppc64le',
  'qemu-s390x': 'linux/s390x',
};

export async function probeNode(proc = '/proc'): Promise<NodeProbe> {
  return { ipvs: await hasIpvs(proc), emulates: await emulations(proc) };
}

/** IPVS is loaded, or a module that the engine loads when it needs it. */
async function hasIpvs(proc: string): Promise<boolean> {
  if (await readable(join(proc, 'net/ip_vs'))) return true;
  const release = await readFile(join(proc, 'sys/kernel/osrelease'), 'utf8').catch(() => '');
  if (release === '') return false;
  const folder = join('/lib/modules', release.trim());
  const lists = await Promise.all(
    ['modules.dep', 'modules.builtin'].map((name) =>
      readFile(join(folder, name), 'utf8').catch(() => ''),
    ),
  );
  return lists.some((list) => /\/ip_vs\.ko/.test(list));
}

async function emulations(proc: string): Promise<readonly string[]> {
  const folder = join(proc, 'sys/fs/binfmt_misc');
  const names = await readdir(folder).catch(() => []);
  const found: string[] = [];
  for (const name of names) {
    const platform = interpreters[name];
    if (!platform) continue;
    const text = await readFile(join(folder, name), 'utf8').catch(() => '');
    // Flag F: the interpreter is open already, so it works inside a container, too.
    if (text.startsWith('enabled') && /^flags:.*F/m.test(text)) found.push(platform);
  }
  return found.sort();
}

async function readable(path: string): Promise<boolean> {
  return readFile(path).then(
    () => true,
    () => false,
  );
}

/** Writes the answers on this node, where they differ. */
export async function labelNode(
  engine: Engine,
  node: SwarmNode,
  probe: NodeProbe,
  signal: AbortSignal,
): Promise<void> {
  const { OS: os, Architecture: architecture } = node.Description.Platform;
  const native = platformName({ os, architecture });
  const emulates = probe.emulates.filter((platform) => platform !== native).join(',');
  const { [emulatesLabel]: _old, ...rest } = node.Spec.Labels ?? {};
  const Labels = {
    ...rest,
    [ipvsLabel]: String(probe.ipvs),
    ...(emulates ? { [emulatesLabel]: emulates } : {}),
  };
  const before = node.Spec.Labels ?? {};
  if (before[ipvsLabel] === Labels[ipvsLabel] && (before[emulatesLabel] ?? '') === emulates) return;
  await engine.call(`label node ${node.Description.Hostname}`, signal, (docker, call) =>
    docker.getNode(node.ID).update({
      ...call,
      _query: { version: node.Version.Index },
      _body: { ...node.Spec, Labels },
    }),
  );
}
