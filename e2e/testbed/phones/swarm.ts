/**
 * Making a Docker Swarm of phones.
 *
 * Guarantees: begins with phones that are in no swarm and hold no container, whatever they were in before;
 * ends when every node is Ready. The first `managers` phones manage; the first one made the swarm.
 */
import { UnreachableError } from '@cloudlet/runtime/base';
import { expect, until } from '../process.ts';
import type { Phone } from './phone.ts';

export interface SwarmOptions {
  /** @default 3, or all of fewer phones */
  readonly managers?: number;
}

export interface SwarmNode {
  readonly name: string;
  readonly status: string;
  readonly availability: string;
  /** Leader, Reachable, Unreachable, or empty for a worker. */
  readonly manager: string;
}

export async function formSwarm(
  phones: readonly Phone[],
  options: SwarmOptions = {},
): Promise<void> {
  const managers = Math.min(options.managers ?? 3, phones.length);
  const [first, ...others] = phones;
  if (!first || managers < 1) throw new UnreachableError('a swarm wants at least one manager');
  for (const phone of phones) await emptyEngine(phone);
  await first.docker(['swarm', 'init', '--advertise-addr', first.ip]);
  const tokenOf = async (role: string): Promise<string> =>
    (await first.docker(['swarm', 'join-token', '--quiet', role])).trim();
  const tokens = { manager: await tokenOf('manager'), worker: await tokenOf('worker') };
  for (const [index, phone] of others.entries()) {
    const token = index + 1 < managers ? tokens.manager : tokens.worker;
    const address = ['--advertise-addr', phone.ip, `${first.ip}:2377`];
    await phone.docker(['swarm', 'join', '--token', token, ...address]);
  }
  await until(`${phones.length} nodes to be Ready`, 60_000, async () => {
    const nodes = await swarmNodes(first);
    const ready = nodes.filter((node) => node.status === 'Ready').length;
    expect(ready === phones.length, `${ready} of ${phones.length} are`);
  });
}

/** Takes a phone out of its swarm and removes its containers, volumes and unused networks. */
export async function emptyEngine(phone: Phone): Promise<void> {
  await phone.docker(['swarm', 'leave', '--force'], { allow: [1] }); // 1: it is in none
  const containers = lines(await phone.docker(['ps', '--all', '--quiet']));
  if (containers.length > 0) await phone.docker(['rm', '--force', '--volumes', ...containers]);
  const volumes = lines(await phone.docker(['volume', 'ls', '--quiet']));
  if (volumes.length > 0) await phone.docker(['volume', 'rm', '--force', ...volumes]);
  await phone.docker(['network', 'prune', '--force']);
}

/** What a manager says of the nodes. */
export async function swarmNodes(manager: Phone): Promise<SwarmNode[]> {
  const format = '{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}';
  const output = await manager.docker(['node', 'ls', '--format', format], { timeoutMs: 25_000 });
  return lines(output).map((line) => {
    const [name = '', status = '', availability = '', role = ''] = line.split('\t');
    return { name, status, availability, manager: role };
  });
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}
