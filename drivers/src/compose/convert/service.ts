/**
 * One service as the engine takes it. The forms are those of `docker stack deploy`, down to what it leaves
 * out, so that a stack deployed by either looks the same to the other.
 */
import type {
  ContainerSpec,
  EndpointSpec,
  Healthcheck,
  NetworkAttachment,
  Resources,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
  UpdateConfig,
} from '../engine.ts';
import type { Findings } from '../findings.ts';
import type {
  ComposeDeploy,
  ComposeHealthcheck,
  ComposeNetwork,
  ComposePort,
  ComposeService,
  ComposeUpdate,
} from '../model.ts';
import { imageReference } from '../units.ts';
import { convertMounts, type MountContext } from './mounts.ts';
import { checkNameLength, nameLimits, scoped, stackLabels, withStackLabel } from './names.ts';
import { convertReferences, type ReferenceContext } from './references.ts';

export interface ServiceContext extends MountContext, ReferenceContext {
  readonly networks: ReadonlyMap<string, ComposeNetwork>;
  readonly findings: Findings;
}

export function convertService(service: ComposeService, context: ServiceContext): ServiceSpec {
  const { deploy } = service;
  const name = scoped(context.stack, service.name);
  checkNameLength(context.findings, service.path, name, nameLimits.service);
  return {
    Name: name,
    Labels: { ...withStackLabel(context.stack, deploy.labels), [stackLabels.image]: service.image },
    TaskTemplate: convertTask(service, context),
    Mode: convertMode(deploy),
    ...(deploy.update ? { UpdateConfig: convertUpdate(deploy.update) } : {}),
    ...(deploy.rollback ? { RollbackConfig: convertUpdate(deploy.rollback) } : {}),
    EndpointSpec: convertEndpoint(service, context),
  };
}

function convertTask(service: ComposeService, context: ServiceContext): TaskSpec {
  const { deploy, logging } = service;
  const { restart } = deploy;
  return {
    ContainerSpec: convertContainer(service, context),
    Resources: convertResources(deploy),
    ...(restart
      ? {
          RestartPolicy: {
            ...(restart.condition ? { Condition: restart.condition } : {}),
            ...(restart.delay === undefined ? {} : { Delay: restart.delay }),
            ...(restart.maxAttempts === undefined ? {} : { MaxAttempts: restart.maxAttempts }),
            ...(restart.window === undefined ? {} : { Window: restart.window }),
          },
        }
      : {}),
    Placement: {
      ...list('Constraints', deploy.constraints),
      ...list(
        'Preferences',
        deploy.spread.map((SpreadDescriptor) => ({ Spread: { SpreadDescriptor } })),
      ),
      ...(deploy.maxReplicas ? { MaxReplicas: deploy.maxReplicas } : {}),
    },
    Networks: convertNetworks(service, context),
    ...(logging
      ? {
          LogDriver: {
            ...(logging.driver ? { Name: logging.driver } : {}),
            ...strings('Options', logging.options),
          },
        }
      : {}),
    ForceUpdate: 0,
  };
}

function convertContainer(service: ComposeService, context: ServiceContext): ContainerSpec {
  const { configs, secrets, credentialSpec } = convertReferences(service, context);
  return {
    Image: imageReference(service.image)?.familiar ?? service.image,
    Labels: withStackLabel(context.stack, service.labels),
    ...list('Command', service.entrypoint),
    ...list('Args', service.command),
    ...text('Hostname', service.hostname),
    ...list('Env', convertEnvironment(service.environment)),
    ...text('Dir', service.workingDir),
    ...text('User', service.user),
    ...list('Groups', service.groups),
    Privileges: { CredentialSpec: credentialSpec, SELinuxContext: null, NoNewPrivileges: false },
    ...(service.init === undefined ? {} : { Init: service.init }),
    ...text('StopSignal', service.stopSignal),
    ...(service.tty ? { TTY: true } : {}),
    ...(service.openStdin ? { OpenStdin: true } : {}),
    ...(service.readOnly ? { ReadOnly: true } : {}),
    ...list('Mounts', convertMounts(service, context)),
    ...(service.stopGracePeriod === undefined ? {} : { StopGracePeriod: service.stopGracePeriod }),
    ...(service.healthcheck ? { Healthcheck: convertHealthcheck(service.healthcheck) } : {}),
    ...list('Hosts', service.hosts),
    ...convertDns(service),
    ...list('Secrets', secrets),
    ...list('Configs', configs),
    ...text('Isolation', service.isolation),
    ...strings('Sysctls', service.sysctls),
    ...convertCapabilities(service),
    ...list(
      'Ulimits',
      service.ulimits.map(({ name, soft, hard }) => ({ Name: name, Hard: hard, Soft: soft })),
    ),
    ...(service.oomScoreAdj ? { OomScoreAdj: service.oomScoreAdj } : {}),
  };
}

/** `{key: values}`, or nothing for none. */
function list<K extends string, T>(key: K, values: readonly T[]): { [P in K]?: readonly T[] } {
  return values.length === 0 ? {} : ({ [key]: values } as { [P in K]: readonly T[] });
}

function text<K extends string>(key: K, value: string): { [P in K]?: string } {
  return value === '' ? {} : ({ [key]: value } as { [P in K]: string });
}

function strings<K extends string>(key: K, values: Readonly<Record<string, string>>) {
  const isEmpty = Object.keys(values).length === 0;
  return (isEmpty ? {} : { [key]: values }) as { [P in K]?: Readonly<Record<string, string>> };
}

/** In the order of their bytes, as the command-line tool sorts them. */
export function convertEnvironment(
  environment: ReadonlyMap<string, string | null>,
): readonly string[] {
  const lines = [...environment].map(([name, value]) =>
    value === null ? name : `${name}=${value}`,
  );
  return lines.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function convertHealthcheck(check: ComposeHealthcheck): Healthcheck {
  if (check.disable) return { Test: ['NONE'] };
  return {
    ...list('Test', check.test ?? []),
    ...(check.interval ? { Interval: check.interval } : {}),
    ...(check.timeout ? { Timeout: check.timeout } : {}),
    ...(check.startPeriod ? { StartPeriod: check.startPeriod } : {}),
    ...(check.startInterval ? { StartInterval: check.startInterval } : {}),
    ...(check.retries ? { Retries: check.retries } : {}),
  };
}

function convertDns(service: ComposeService): Pick<ContainerSpec, 'DNSConfig'> {
  if (service.dns.length === 0 && service.dnsSearch.length === 0) return {};
  return {
    DNSConfig: { ...list('Nameservers', service.dns), ...list('Search', service.dnsSearch) },
  };
}

function convertCapabilities(service: ComposeService) {
  const add = capabilities(service.capAdd);
  const drop = capabilities(service.capDrop).filter((name) => !add.includes(name));
  return { ...list('CapabilityAdd', add), ...list('CapabilityDrop', drop) };
}

function capabilities(names: readonly string[]): readonly string[] {
  const all = names.map((name) => name.trim().toUpperCase());
  if (all.includes('ALL')) return ['ALL'];
  const full = all
    .filter((name) => name !== 'RESET')
    .map((name) => (name.startsWith('CAP_') ? name : `CAP_${name}`));
  return [...new Set(full)].sort();
}

function convertResources({ limits, reservations }: ComposeDeploy): Resources {
  return {
    ...(limits
      ? {
          Limits: {
            ...(limits.nanoCpus ? { NanoCPUs: limits.nanoCpus } : {}),
            ...(limits.memoryBytes ? { MemoryBytes: limits.memoryBytes } : {}),
            ...(limits.pids ? { Pids: limits.pids } : {}),
          },
        }
      : {}),
    ...(reservations
      ? {
          Reservations: {
            ...(reservations.nanoCpus ? { NanoCPUs: reservations.nanoCpus } : {}),
            ...(reservations.memoryBytes ? { MemoryBytes: reservations.memoryBytes } : {}),
            ...list(
              'GenericResources',
              reservations.generic.map(({ kind, value }) => ({
                DiscreteResourceSpec: { Kind: kind, Value: value },
              })),
            ),
          },
        }
      : {}),
  };
}

function convertMode({ mode, replicas }: ComposeDeploy): ServiceMode {
  switch (mode) {
    case 'global':
      return { Global: {} };
    case 'global-job':
      return { GlobalJob: {} };
    case 'replicated-job':
      return {
        ReplicatedJob:
          replicas === undefined ? {} : { MaxConcurrent: replicas, TotalCompletions: replicas },
      };
    case 'replicated':
      return { Replicated: replicas === undefined ? {} : { Replicas: replicas } };
  }
}

function convertUpdate(update: ComposeUpdate): UpdateConfig {
  return {
    Parallelism: update.parallelism,
    ...(update.delay ? { Delay: update.delay } : {}),
    ...text('FailureAction', update.failureAction),
    ...(update.monitor ? { Monitor: update.monitor } : {}),
    MaxFailureRatio: update.maxFailureRatio,
    Order: update.order,
  };
}

function convertNetworks(
  service: ComposeService,
  context: ServiceContext,
): readonly NetworkAttachment[] {
  const attachments = service.networks.length > 0 ? service.networks : [defaultAttachment];
  const converted = attachments.flatMap((attachment) => {
    const network = context.networks.get(attachment.network);
    if (!network && attachment.network !== 'default') {
      context.findings.mistake(
        attachment.path,
        'names a network that the file does not define; add it under the top-level `networks`',
      );
      return [];
    }
    const Target = networkName(context.stack, attachment.network, network);
    const isOfTheNode = ['default', 'none', 'host', 'bridge'].includes(Target);
    return [
      {
        Target,
        ...list('Aliases', [...attachment.aliases, ...(isOfTheNode ? [] : [service.name])]),
        ...strings('DriverOpts', attachment.driverOpts),
      },
    ];
  });
  return converted.sort((a, b) => (a.Target < b.Target ? -1 : a.Target > b.Target ? 1 : 0));
}

const defaultAttachment = { network: 'default', path: '', aliases: [], driverOpts: {} };

export function networkName(
  stack: string,
  key: string,
  network: ComposeNetwork | undefined,
): string {
  return network?.name || (network?.external ? key : scoped(stack, key));
}

function convertEndpoint(service: ComposeService, context: ServiceContext): EndpointSpec {
  const { endpointMode } = service.deploy;
  if (endpointMode === 'dnsrr' && service.ports.some((port) => port.mode !== 'host'))
    context.findings.mistake(
      `${service.path}.deploy.endpoint_mode`,
      'dnsrr works with ports of mode host only; publish them with `mode: host`',
    );
  return { ...text('Mode', endpointMode), ...list('Ports', convertPorts(service.ports)) };
}

function convertPorts(ports: readonly ComposePort[]) {
  const sorted = [...ports].sort((a, b) => a.published - b.published);
  return sorted.map((port) => ({
    ...text('Protocol', port.protocol),
    TargetPort: port.target,
    ...(port.published ? { PublishedPort: port.published } : {}),
    ...text('PublishMode', port.mode),
  }));
}
