/** A read compose file as a StackPlan. Pure: what it makes depends on nothing but its arguments. */
import type { FileObjectSpec, NetworkSpec } from '../engine.ts';
import { type Findings, keyPath } from '../findings.ts';
import type { ComposeFileObject, ComposeNetwork, ComposeStack } from '../model.ts';
import type {
  StackFileObject,
  StackNetwork,
  StackPlan,
  StackService,
  StackVolume,
} from '../stack-plan.ts';
import {
  checkNameLength,
  fileObjectName,
  nameLimits,
  type Naming,
  withStackLabel,
} from './names.ts';
import { publishedPorts } from './ports.ts';
import { convertService, networkName } from './service.ts';

export function convertStack(
  compose: ComposeStack,
  naming: Naming,
  findings: Findings,
): Omit<StackPlan, 'warnings'> {
  const context = { ...compose, ...naming, findings };
  const services = compose.services.map((service) => ({
    name: service.name,
    spec: convertService(service, context),
  }));
  if (services.length === 0 && findings.isClean)
    findings.mistake('services', 'the file has no service to run');
  return {
    stack: naming.stack,
    services,
    networks: convertNetworks(compose, naming.stack),
    volumes: usedVolumes(services, compose),
    configs: convertObjects('config', compose.configs, naming, findings),
    secrets: convertObjects('secret', compose.secrets, naming, findings),
    published: services.flatMap(publishedPorts),
  };
}

/** Networks that a service is in; what none uses is not made. */
function convertNetworks(compose: ComposeStack, stack: string): readonly StackNetwork[] {
  const used = new Set(
    compose.services.flatMap(({ networks }) =>
      networks.length > 0 ? networks.map(({ network }) => network) : ['default'],
    ),
  );
  return [...used].sort().map((key) => {
    const network = compose.networks.get(key);
    const name = networkName(stack, key, network);
    return network?.external ? { name } : { name, spec: networkSpec(stack, name, network) };
  });
}

function networkSpec(
  stack: string,
  name: string,
  network: ComposeNetwork | undefined,
): NetworkSpec {
  const options = network?.driverOpts ?? {};
  return {
    Name: name,
    Driver: network?.driver || 'overlay',
    Internal: network?.internal ?? false,
    Attachable: network?.attachable ?? false,
    ...(network?.ipv6 ? { EnableIPv6: true } : {}),
    IPAM: ipam(network),
    Options: network?.driverOpts ? options : null,
    Labels: withStackLabel(stack, network?.labels ?? {}),
  };
}

function ipam(network: ComposeNetwork | undefined): NetworkSpec['IPAM'] {
  if (!network?.ipam) return null;
  const { driver, options, config } = network.ipam;
  return {
    Driver: driver,
    Options: Object.keys(options).length > 0 ? options : null,
    ...(config.length > 0
      ? {
          Config: config.map(({ subnet, gateway, ipRange, auxiliary }) => ({
            ...(subnet ? { Subnet: subnet } : {}),
            ...(gateway ? { Gateway: gateway } : {}),
            ...(ipRange ? { IPRange: ipRange } : {}),
            ...(Object.keys(auxiliary).length > 0 ? { AuxiliaryAddresses: auxiliary } : {}),
          })),
        }
      : {}),
  };
}

function usedVolumes(
  services: readonly StackService[],
  compose: ComposeStack,
): readonly StackVolume[] {
  const external = new Set(
    [...compose.volumes].flatMap(([key, volume]) => (volume.external ? [volume.name || key] : [])),
  );
  const names = services.flatMap(({ spec }) =>
    (spec.TaskTemplate.ContainerSpec.Mounts ?? []).flatMap(({ Type, Source }) =>
      Type === 'volume' && Source ? [Source] : [],
    ),
  );
  return [...new Set(names)].sort().map((name) => ({ name, external: external.has(name) }));
}

function convertObjects(
  kind: 'config' | 'secret',
  objects: ReadonlyMap<string, ComposeFileObject>,
  naming: Naming,
  findings: Findings,
): readonly StackFileObject[] {
  return [...objects].map(([key, object]) => {
    const name = fileObjectName(kind, key, object, naming);
    if (object.external) return { key, name };
    const path = keyPath(`${kind}s`, key);
    checkNameLength(findings, path, name, nameLimits.fileObject);
    checkContent(kind, object, path, findings);
    return { key, name, spec: fileObjectSpec(naming.stack, name, object) };
  });
}

function checkContent(
  kind: 'config' | 'secret',
  { content }: ComposeFileObject,
  path: string,
  findings: Findings,
): void {
  if (!content) return;
  const max = kind === 'config' ? nameLimits.configBytes : nameLimits.secretBytes;
  if (content.length === 0) findings.mistake(path, 'is empty; the engine wants at least one byte');
  if (content.length >= max)
    findings.mistake(path, `has ${content.length} bytes; less than ${max} are allowed`);
}

function fileObjectSpec(stack: string, name: string, object: ComposeFileObject): FileObjectSpec {
  const { driver, driverOpts, templateDriver } = object;
  return {
    Name: name,
    Labels: withStackLabel(stack, object.labels),
    Data: Buffer.from(object.content ?? new Uint8Array()).toString('base64'),
    ...(driver
      ? {
          Driver: {
            Name: driver,
            ...(Object.keys(driverOpts).length > 0 ? { Options: driverOpts } : {}),
          },
        }
      : {}),
    ...(templateDriver ? { Templating: { Name: templateDriver } } : {}),
  };
}
