/**
 * The stack that a plan asks for, with our labels on what it has. Pure.
 *
 * Guarantees: the same plan and options give the same stack; a new sequence alone touches the services'
 * labels only, which restarts nothing. Volumes of a stack that was taken over keep the labels they had, for
 * a volume's labels are part of a task's specification.
 */
import type { Plan } from '@cloudlet/crds';
import {
  convertPlan,
  type ServiceSpec,
  type StackNetwork,
  type StackPlan,
  type Strings,
} from '../compose/index.ts';
import {
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
  readonly overlayEncrypted: boolean;
}

/** @throws ComposeError */
export function desiredStack(plan: Plan, options: StackOptions): StackPlan {
  const { stack, ipvs } = options;
  const converted = convertPlan(plan, { stack, ipvs });
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
      spec: serviceOf(service.spec, plan, {
        own: {
          [servicesLabel]: String(converted.services.length),
          [ipvsLabel]: String(ipvs),
        },
        volumes: isTakenOver ? {} : own,
      }),
    })),
    networks: converted.networks.map((network) => networkOf(network, mark, options)),
    configs: converted.configs.map((one) => (one.spec ? { ...one, spec: mark(one.spec) } : one)),
    secrets: converted.secrets.map((one) => (one.spec ? { ...one, spec: mark(one.spec) } : one)),
  };
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

function networkOf(
  network: StackNetwork,
  mark: <T extends { readonly Labels: Strings }>(spec: T) => T,
  { overlayEncrypted }: StackOptions,
): StackNetwork {
  if (!network.spec) return network;
  const isPlainOverlay = network.spec.Driver === 'overlay' && !network.spec.Options;
  const Options = overlayEncrypted && isPlainOverlay ? { encrypted: '' } : network.spec.Options;
  return { ...network, spec: mark({ ...network.spec, Options }) };
}
