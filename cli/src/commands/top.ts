/**
 * top: what is reserved of what is there, by site and by instance.
 *
 * Guarantees: the figures are those by which the operator places; what programs use at this moment is no part
 * of any status, so it is not shown and not guessed.
 */
import type { AppInst, Cloudlet, CloudletLedger } from '@cloudlet/crds';
import { ForbiddenError, TerminalError } from '@cloudlet/runtime/base';
import { defaultPortRange, formatBytes, portsTakenBy, resourceTypes } from '@cloudlet/operator';
import type { Command, CommandContext } from '../command.ts';
import { type Share, sharesOf } from '../doctor/checks-ledger.ts';
import { formatTable } from '../terminal.ts';

export const topCommand: Command = {
  name: 'top',
  usage: 'top [cloudlets|appinsts] [-A]',
  summary: 'Show what is reserved of what there is, the fullest first.',
  note: [
    'It does not show what programs use at this moment, which is in no status. One node of a site tells:',
    '  kubectl cloudlet shell SITE -- docker stats --no-stream',
  ].join('\n'),
  flags: {
    'all-namespaces': { type: 'boolean', description: 'Instances of every namespace (-A).' },
  },
  shorts: { A: 'all-namespaces' },
  examples: ['top', 'top cloudlets', 'top appinsts -A'],
  async run(context) {
    const [what, ...more] = context.positionals;
    const isKnown = what === undefined || what === 'cloudlets' || what === 'appinsts';
    if (!isKnown || more.length > 0)
      throw new TerminalError(
        'InvalidFlags',
        `cloudlets or appinsts is wanted, not ${context.positionals.join(' ')}`,
      );
    const { stdout } = context.terminal;
    if (what !== 'appinsts') {
      const text = await sites(context, what === undefined);
      if (text !== undefined) stdout.write(what === undefined ? text + '\n' : text);
    }
    if (what !== 'cloudlets') stdout.write(await instances(context));
    return 0;
  },
};

async function sites(context: CommandContext, isOptional: boolean): Promise<string | undefined> {
  const { client } = context.region();
  const { signal } = context;
  try {
    const [cloudlets, ledgers] = await Promise.all([
      client.resource<Cloudlet>(resourceTypes.Cloudlet).list({ signal }),
      client.resource<CloudletLedger>(resourceTypes.CloudletLedger).list({ signal }),
    ]);
    return topSites(cloudlets.items, ledgers.items);
  } catch (error) {
    if (isOptional && error instanceof ForbiddenError) return undefined; // a developer's own
    throw error;
  }
}

async function instances(context: CommandContext): Promise<string> {
  const { client, namespace } = context.region();
  const isAll = context.flags['all-namespaces'] === true;
  const { items } = await client
    .resource<AppInst>(resourceTypes.AppInst)
    .list({ signal: context.signal, ...(isAll ? {} : { namespace }) });
  if (items.length === 0) return `No instances${isAll ? '' : ` in namespace ${namespace}`}.\n`;
  return topInstances(items);
}

/** The fullest first, by what is scarcest there. */
export function topSites(
  cloudlets: readonly Cloudlet[],
  ledgers: readonly CloudletLedger[],
): string {
  if (cloudlets.length === 0) return 'No sites.\n';
  const rows = cloudlets
    .map((cloudlet) => ({ cloudlet, shares: sharesOf(cloudlet) }))
    .sort((a, b) => fullness(b.shares) - fullness(a.shares))
    .map(({ cloudlet, shares }) => {
      const { name } = cloudlet.metadata;
      const ledger = ledgers.find(({ metadata }) => metadata.name === name);
      const { first, last } = cloudlet.spec.loadBalancer?.portRange ?? defaultPortRange;
      const ports = portsTakenBy(ledger?.spec).reduce((sum, { count = 1 }) => sum + count, 0);
      return [
        name,
        ...shares.map((share) => shareText(share)),
        `${ports} of ${last - first + 1}`,
        String(cloudlet.status?.site?.nodes?.length ?? '-'),
      ];
    });
  const heads = ['SITE', 'CPU RESERVED', 'MEMORY RESERVED', 'INSTANCES', 'PORTS', 'NODES'];
  return formatTable([heads, ...rows]);
}

const ratio = ({ used, bound }: Share): number =>
  bound === undefined || bound === 0 ? 0 : used / bound;
const fullness = (shares: readonly Share[]): number => Math.max(...shares.map(ratio));

function shareText(share: Share): string {
  const text = (value: number): string =>
    share.name === 'vcpus'
      ? cpuText(value)
      : share.name === 'memory'
        ? formatBytes(value)
        : String(value);
  if (share.bound === undefined) return text(share.used);
  return `${text(share.used)} of ${text(share.bound)} (${Math.round(ratio(share) * 100)}%)`;
}

const cpuText = (millis: number): string =>
  millis % 1000 === 0 ? String(millis / 1000) : `${millis}m`;

/** The largest first, by memory and then by CPU. */
export function topInstances(appInsts: readonly AppInst[]): string {
  const sized = appInsts.map((appInst) => {
    const { resources } = appInst.status?.rollout ?? {};
    const replicas = appInst.spec.replicas ?? 1;
    return {
      appInst,
      cpuMillis: (resources?.cpuMillis ?? 0) * replicas,
      memoryBytes: (resources?.memoryBytes ?? 0) * replicas,
    };
  });
  const rows = sized
    .sort((a, b) => b.memoryBytes - a.memoryBytes || b.cpuMillis - a.cpuMillis)
    .map(({ appInst, cpuMillis, memoryBytes }) => {
      const { metadata, status } = appInst;
      const tasks = status?.instances ?? [];
      const running = tasks.filter(({ state }) => state === 'running').length;
      const restarts = tasks.reduce((sum, task) => sum + (task.restarts ?? 0), 0);
      return [
        metadata.namespace ?? '',
        metadata.name,
        status?.placement?.cloudlet ?? '-',
        cpuText(cpuMillis),
        formatBytes(memoryBytes),
        tasks.length > 0 ? `${running}/${tasks.length}` : '-',
        String(restarts),
      ];
    });
  const heads = ['NAMESPACE', 'INSTANCE', 'SITE', 'CPU RESERVED', 'MEMORY RESERVED'];
  return formatTable([[...heads, 'RUNNING', 'RESTARTS'], ...rows]);
}
