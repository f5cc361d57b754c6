/**
 * The stack that a plan asks for, with our labels on what it has. Pure.
 *
 * Guarantees: the same plan and options give the same stack; a new sequence alone touches the services'
 * labels only, which restarts nothing. Volumes of a stack that was taken over keep the labels they had, for
 * a volume's labels are part of a task's specification. Instances of a Cluster share a network, where each
 * service is found as `<service>.<instance>.<namespace>`, and that of an image as `<instance>.<namespace>`.
 */
import type { Plan } from '@cloudlet/crds';
import {
  convertPlan,
  type ServiceSpec,
  type StackNetwork,
  type StackPlan,
  type StackService,
  type Strings,
} from '../compose/index.ts';
import { refuseHostPaths } from './host-paths.ts';
import { refuseNames } from './refuse-names.ts';
import {
  adoptedFilesLabel,
  clusterLabel,
  clusterNetworkName,
  instanceLabel,
  ipvsLabel,
  newStackName,
  ownLabels,
  powerLabel,
  sequenceLabel,
  servicesLabel,
  stackLabel,
} from './names.ts';

export interface StackOptions {
  readonly stack: string;
  /** Whether the nodes can route virtual addresses. */
  readonly ipvs: boolean;
  /** Of a stack that was taken over: what its label `adoptedFilesLabel` says. */
  readonly adoptedFiles?: string | undefined;
}

/** @throws ComposeError, DriverError for a folder of the node that may not be mounted. */
export function desiredStack(plan: Plan, options: StackOptions): StackPlan {
  const { stack, ipvs } = options;
  const { adoptedFiles } = options;
  const adopted = adoptedFiles === undefined ? [] : adoptedNames(adoptedFiles);
  const cliNames = (hashed: string): boolean => adopted.includes(hashed);
  const converted = convertPlan(plan, { stack, ipvs, cliNames });
  refuseHostPaths(converted, plan.hostPaths ?? []);
  refuseNames(converted);
  const shared = clusterNetwork(plan);
  const own = ownLabels(plan, stack);
  const mark = <T extends { readonly Labels: Strings }>(spec: T): T => ({
    ...spec,
    Labels: { ...spec.Labels, ...own },
  });
  const isTakenOver = stack !== newStackName(plan);
  return {
    ...converted,
    services: converted.services.map((service) => ({
      ...service,
      spec: serviceOf(inNetwork(service, plan, shared), plan, {
        own: {
          [servicesLabel]: String(converted.services.length),
          [ipvsLabel]: String(ipvs),
          ...(adoptedFiles === undefined ? {} : { [adoptedFilesLabel]: adoptedFiles }),
        },
        volumes: isTakenOver ? {} : own,
      }),
    })),
    networks: [
      ...converted.networks.map((network) => networkOf(network, mark, plan)),
      ...(shared ? [shared] : []),
    ],
    configs: converted.configs.map((one) => (one.spec ? { ...one, spec: mark(one.spec) } : one)),
    secrets: converted.secrets.map((one) => (one.spec ? { ...one, spec: mark(one.spec) } : one)),
  };
}

function adoptedNames(label: string): readonly string[] {
  try {
    const names: unknown = JSON.parse(label);
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
  } catch {
    return []; // a person wrote it
  }
}

function serviceOf(
  spec: ServiceSpec,
  plan: Plan,
  labelsOf: { readonly own: Strings; readonly volumes: Strings },
): ServiceSpec {
  const labels: Strings = {
    ...spec.Labels,
    [instanceLabel]: plan.id,
    [sequenceLabel]: String(plan.sequence),
    ...labelsOf.own,
    ...(plan.powerState === 'Off' ? { [powerLabel]: 'Off' } : {}),
  };
  const container = spec.TaskTemplate.ContainerSpec;
  const Mounts = container.Mounts?.map((mount) =>
    mount.Type === 'volume' && mount.Source && stackLabel in (mount.VolumeOptions?.Labels ?? {})
      ? {
          ...mount,
          VolumeOptions: {
            ...mount.VolumeOptions,
            Labels: { ...mount.VolumeOptions?.Labels, ...labelsOf.volumes },
          },
        }
      : mount,
  );
  const ContainerSpec = { ...container, ...(Mounts ? { Mounts } : {}) };
  const constrained = constrainedTo(spec, clusterConstraints(plan));
  const TaskTemplate = { ...constrained.TaskTemplate, ContainerSpec };
  const marked = { ...constrained, Labels: labels, TaskTemplate };
  return plan.powerState === 'Off' ? switchedOff(marked) : marked;
}

/** A Cluster of a swarm is those of its nodes that have its labels. */
const clusterConstraints = ({ cluster }: Plan): readonly string[] =>
  Object.entries(cluster?.nodeLabels ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `node.labels.${name} == ${value}`);

function constrainedTo(spec: ServiceSpec, more: readonly string[]): ServiceSpec {
  if (more.length === 0) return spec;
  const { Placement } = spec.TaskTemplate;
  const Constraints = [...(Placement?.Constraints ?? []), ...more];
  return {
    ...spec,
    TaskTemplate: { ...spec.TaskTemplate, Placement: { ...Placement, Constraints } },
  };
}

/** No task is left: none of those that are counted, and no node for those that are everywhere. */
function switchedOff(spec: ServiceSpec): ServiceSpec {
  if (spec.Mode?.Replicated) return { ...spec, Mode: { Replicated: { Replicas: 0 } } };
  return constrainedTo(spec, ['node.hostname == switched-off']);
}

/** It is nobody's alone: the last instance that leaves takes it away. */
function clusterNetwork({ cluster, overlayEncrypted }: Plan): StackNetwork | undefined {
  if (!cluster) return undefined;
  const name = clusterNetworkName(cluster.name);
  const spec = {
    Name: name,
    Driver: 'overlay',
    Internal: false,
    Attachable: false,
    IPAM: null,
    Options: overlayEncrypted ? { encrypted: '' } : null,
    Labels: { [clusterLabel]: cluster.name },
  };
  return { name, spec };
}

/** Services that have a network of their own, such as the node's, stay out of the Cluster's. */
function inNetwork(
  { name, spec }: StackService,
  { object, workload }: Plan,
  shared: StackNetwork | undefined,
): ServiceSpec {
  const isOnNode = spec.TaskTemplate.Networks.some(({ Target }) => Target === 'host');
  if (!shared || isOnNode) return spec;
  const instance = `${object.name}.${object.namespace}`;
  const alias = workload.kind === 'Image' ? instance : `${name}.${instance}`;
  const Networks = [...spec.TaskTemplate.Networks, { Target: shared.name, Aliases: [alias] }];
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks } };
}

function networkOf(
  network: StackNetwork,
  mark: <T extends { readonly Labels: Strings }>(spec: T) => T,
  { overlayEncrypted }: Plan,
): StackNetwork {
  if (!network.spec) return network;
  const isPlainOverlay = network.spec.Driver === 'overlay' && !network.spec.Options;
  const Options = overlayEncrypted && isPlainOverlay ? { encrypted: '' } : network.spec.Options;
  return { ...network, spec: mark({ ...network.spec, Options }) };
}
