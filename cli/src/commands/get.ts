/** get: sites and instances with their health at a glance. */
import type { AppInst, Cloudlet, Condition } from '@cloudlet/crds';
import { ForbiddenError } from '@cloudlet/runtime/base';
import { resourceTypes } from '@cloudlet/operator';
import { ageOf } from '../age.ts';
import type { Command } from '../command.ts';
import { formatTable } from '../terminal.ts';

export const getCommand: Command = {
  name: 'get',
  usage: 'get [-A]',
  summary: 'Show sites and instances with their health.',
  flags: {
    'all-namespaces': { type: 'boolean', description: 'Instances of every namespace (-A).' },
  },
  shorts: { A: 'all-namespaces' },
  examples: ['get', 'get -A'],
  async run(context) {
    const { flags, terminal, signal, clock } = context;
    const { client, namespace } = context.region();
    const sites = await client
      .resource<Cloudlet>(resourceTypes.Cloudlet)
      .list({ signal })
      .then(
        ({ items }) => items,
        (error: unknown) => {
          if (error instanceof ForbiddenError) return undefined; // a developer sees zones only
          throw error;
        },
      );
    if (sites) terminal.stdout.write(siteTable(sites, clock.now()) + '\n');
    const isAll = flags['all-namespaces'] === true;
    const { items } = await client
      .resource<AppInst>(resourceTypes.AppInst)
      .list({ signal, ...(isAll ? {} : { namespace }) });
    terminal.stdout.write(
      items.length > 0
        ? instanceTable(items, isAll)
        : `No instances${isAll ? '' : ` in namespace ${namespace}`}.\n`,
    );
    return 0;
  },
};

type Conditions = readonly Condition[] | undefined;

const conditionOf = (conditions: Conditions, type: string): Condition | undefined =>
  conditions?.find((condition) => condition.type === type);

/** `Ready`, or the reason why not. */
export function stateOf(conditions: Conditions, type = 'Ready'): string {
  const condition = conditionOf(conditions, type);
  if (!condition) return 'Unknown';
  return condition.status === 'True' ? type : condition.reason;
}

export function siteTable(sites: readonly Cloudlet[], now: number): string {
  if (sites.length === 0) return 'No sites.\n';
  const rows = sites.map(({ metadata, spec, status }) => {
    const nodes = status?.site?.nodes ?? [];
    const ready = nodes.filter(({ state }) => state === 'Ready').length;
    const connected = conditionOf(status?.conditions, 'Connected');
    return [
      metadata.name,
      spec.platform,
      spec.zoneRef?.name ?? '-',
      stateOf(status?.conditions),
      connected
        ? `${connected.status === 'True' ? 'Up' : connected.reason} ${ageOf(connected.lastTransitionTime, now)}`
        : '-',
      nodes.length > 0 ? `${ready}/${nodes.length}` : '-',
      status?.site?.managers
        ? `${status.site.managersReachable ?? 0}/${status.site.managers}`
        : '-',
      String(status?.allocated?.instances ?? 0),
    ];
  });
  return formatTable([
    ['SITE', 'PLATFORM', 'ZONE', 'STATE', 'LINK', 'NODES', 'MANAGERS', 'INSTANCES'],
    ...rows,
  ]);
}

export function instanceTable(instances: readonly AppInst[], withNamespace: boolean): string {
  const rows = instances.map(({ metadata, spec, status }) => {
    const tasks = status?.instances ?? [];
    const running = tasks.filter(({ state }) => state === 'running').length;
    const ready = conditionOf(status?.conditions, 'Ready');
    return [
      ...(withNamespace ? [metadata.namespace ?? ''] : []),
      metadata.name,
      spec.appRef.name,
      stateOf(status?.conditions),
      tasks.length > 0 ? `${running}/${tasks.length}` : '-',
      status?.placement?.cloudlet ?? '-',
      status?.uri ?? '-',
      ready && ready.status !== 'True' ? shortened(ready.message) : '',
    ];
  });
  const heads = ['INSTANCE', 'APP', 'STATE', 'RUNNING', 'SITE', 'URI', 'WHY'];
  return formatTable([[...(withNamespace ? ['NAMESPACE'] : []), ...heads], ...rows]);
}

const shortened = (message: string): string =>
  message.length > 80 ? `${message.slice(0, 79)}…` : message;
