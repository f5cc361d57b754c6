/**
 * How a stack's ports are reached.
 *
 * Where the kernel lacks IPVS, virtual addresses and the routing mesh do nothing: names resolve to tasks
 * then, and each published port becomes one of the node, picked by the engine for each task, so that two
 * tasks of an update never want the same one. Ports of the App that no service publishes are published so in
 * every case: a load balancer reaches them by node and port.
 */
import type { PlanPort } from '@cloudlet/crds';
import type { PortConfig, ServiceSpec } from '../engine.ts';
import { type Findings, keyPath } from '../findings.ts';
import type { ComposeStack, Protocol } from '../model.ts';
import type { PublishedPort, StackPlan, StackService } from '../stack-plan.ts';

type Plan = Omit<StackPlan, 'warnings'>;

export function publishedPorts(service: StackService): readonly PublishedPort[] {
  return (service.spec.EndpointSpec.Ports ?? []).map((port) => ({
    service: service.name,
    protocol: protocolOf(port),
    target: port.TargetPort ?? 0,
    ...(port.PublishedPort ? { published: port.PublishedPort } : {}),
    mode: port.PublishMode === 'host' ? 'host' : 'ingress',
  }));
}

function protocolOf(port: PortConfig): Protocol {
  return port.Protocol === 'udp' || port.Protocol === 'sctp' ? port.Protocol : 'tcp';
}

/** The plan for nodes whose kernel has no IPVS. */
export function withoutIpvs(plan: Plan, findings: Findings): Plan {
  const services = plan.services.map((service) => ({
    ...service,
    spec: serviceWithoutIpvs(service, findings),
  }));
  return { ...plan, services, published: services.flatMap(publishedPorts) };
}

function serviceWithoutIpvs({ name, spec }: StackService, findings: Findings): ServiceSpec {
  const path = keyPath('services', name);
  const { Mode, Ports = [] } = spec.EndpointSpec;
  if (Mode === 'vip')
    findings.warn(
      `${path}.deploy.endpoint_mode`,
      'dnsrr is used: the kernel of this site has no IPVS, so virtual addresses do not work',
    );
  const picked = new Map<string, PortConfig>();
  for (const port of Ports) {
    const isFixed = port.PublishMode === 'host';
    if (!isFixed && port.PublishedPort)
      findings.warn(
        `${path}.ports`,
        `port ${port.TargetPort} is published on a port that the engine picks, not ${port.PublishedPort}: the kernel of this site has no IPVS`,
      );
    const converted = isFixed ? port : pickedPort(protocolOf(port), port.TargetPort ?? 0);
    picked.set(JSON.stringify(converted), converted);
  }
  const ports = [...picked.values()];
  return {
    ...spec,
    EndpointSpec: { Mode: 'dnsrr', ...(ports.length > 0 ? { Ports: ports } : {}) },
  };
}

function pickedPort(protocol: Protocol, target: number): PortConfig {
  return { Protocol: protocol, TargetPort: target, PublishMode: 'host' };
}

/** Ties the App's ports to services, and publishes those that no service publishes. */
export function withAppPorts(
  plan: Plan,
  ports: readonly PlanPort[],
  compose: ComposeStack | undefined,
  findings: Findings,
): Plan {
  let services = plan.services;
  const tied: PublishedPort[] = [];
  for (const port of ports) {
    const service = listenerOf(port, services, compose, findings);
    if (!service || port.internalOnly) continue;
    for (const target of targetsOf(port)) {
      services = services.map((other) =>
        other.name === service ? publishing(other, port, target) : other,
      );
      tied.push(...tie(services, service, port, target));
    }
  }
  const isTied = (port: PublishedPort) =>
    tied.some(
      ({ service, protocol, target }) =>
        service === port.service && protocol === port.protocol && target === port.target,
    );
  const rest = services.flatMap(publishedPorts).filter((port) => !isTied(port));
  return { ...plan, services, published: [...tied, ...rest] };
}

function targetsOf(port: PlanPort): readonly number[] {
  const count = (port.endPort ?? port.port) - port.port + 1;
  return Array.from({ length: Math.max(1, Math.min(count, 1000)) }, (_, step) => port.port + step);
}

function transport(port: PlanPort): Protocol {
  return port.protocol === 'UDP' ? 'udp' : 'tcp';
}

function tie(
  services: readonly StackService[],
  service: string,
  port: PlanPort,
  target: number,
): readonly PublishedPort[] {
  return services
    .filter(({ name }) => name === service)
    .flatMap(publishedPorts)
    .filter((other) => other.target === target && other.protocol === transport(port))
    .slice(0, 1)
    .map((other) => ({ port: port.name, ...other }));
}

/** The service that listens on a port of the App: the named one, or the only one that can be meant. */
function listenerOf(
  port: PlanPort,
  services: readonly StackService[],
  compose: ComposeStack | undefined,
  findings: Findings,
): string | undefined {
  const path = `App port ${port.name}`;
  if (port.service !== undefined) {
    if (services.some(({ name }) => name === port.service)) return port.service;
    findings.mistake(
      path,
      `names the service ${port.service}, which the compose file does not have`,
    );
    return undefined;
  }
  const candidates = candidatesOf(port, services, compose);
  if (candidates.length === 1) return candidates[0];
  const why =
    candidates.length === 0
      ? 'no service of the compose file publishes or exposes it'
      : `${candidates.slice(0, 5).join(' and ')} have it`;
  findings.mistake(path, `${why}: name the one that listens in its field \`service\``);
  return undefined;
}

function candidatesOf(
  port: PlanPort,
  services: readonly StackService[],
  compose: ComposeStack | undefined,
): readonly string[] {
  const publishing = services
    .filter((service) =>
      publishedPorts(service).some(
        ({ target, protocol }) => target === port.port && protocol === transport(port),
      ),
    )
    .map(({ name }) => name);
  if (publishing.length > 0) return publishing;
  const exposing = (compose?.services ?? [])
    .filter(({ expose }) =>
      expose.some((other) => other.port === port.port && other.protocol === transport(port)),
    )
    .map(({ name }) => name);
  if (exposing.length > 0) return exposing;
  return services.length === 1 ? services.map(({ name }) => name) : [];
}

function publishing(service: StackService, port: PlanPort, target: number): StackService {
  const protocol = transport(port);
  const ports = service.spec.EndpointSpec.Ports ?? [];
  const isThere = ports.some(
    (other) => other.TargetPort === target && protocolOf(other) === protocol,
  );
  if (isThere) return service;
  const Ports = [...ports, pickedPort(protocol, target)];
  const { spec } = service;
  return { ...service, spec: { ...spec, EndpointSpec: { ...spec.EndpointSpec, Ports } } };
}
