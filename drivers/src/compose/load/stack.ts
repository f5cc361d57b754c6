/**
 * Reads a whole compose file.
 *
 * Guarantees: every mistake is noted with its path before anything is thrown; references between sections
 * (networks, volumes, configs, secrets) are checked in convert/, where they are used.
 */
import { Field, type ReadContext } from '../field.ts';
import type { ComposeFileObject, ComposeNetwork, ComposeStack, ComposeVolume } from '../model.ts';
import { parseYaml } from '../yaml.ts';
import { configKeys, networkKeys, secretKeys, topKeys, volumeKeys } from './keys.ts';
import { readService, type ServiceRules } from './service.ts';
import { externalOf, optionalMembers, options, section, strings } from './values.ts';

/** @throws ComposeError when the text is no YAML; other mistakes are noted in the context's findings. */
export function readStack(text: string, context: ReadContext, rules: ServiceRules): ComposeStack {
  const file = new Field(parseYaml(text), '', context);
  const members = file.members(topKeys);
  checkVersion(members?.get('version'));
  const services = section(members?.get('services'), (name, field) =>
    readService(name, field, rules),
  );
  if (!members?.has('services')) file.wrong('the file needs a key `services`');
  return {
    services: [...services.values()],
    networks: section(members?.get('networks'), (_, field) => readNetwork(field)),
    volumes: section(members?.get('volumes'), (_, field) => readVolume(field)),
    configs: section(members?.get('configs'), (_, field) => readFileObject(field, rules, false)),
    secrets: section(members?.get('secrets'), (_, field) => readFileObject(field, rules, true)),
  };
}

function checkVersion(field: Field | undefined): void {
  if (!field) return;
  const version = field.textOrNumber();
  if (version === undefined) return;
  if (typeof field.value === 'number') field.warn('`docker stack deploy` wants it in quotes');
  if (/^(3(\.\d{1,2})?|)$/.test(version)) return;
  field.warn(
    'is ignored: the file is read as version 3.13, which `docker stack deploy` would refuse',
  );
}

const emptyNetwork: ComposeNetwork = {
  name: '',
  external: false,
  driver: '',
  driverOpts: undefined,
  internal: false,
  attachable: false,
  ipv6: false,
  labels: {},
};

function readNetwork(field: Field): ComposeNetwork | undefined {
  if (field.isNull) return emptyNetwork;
  const members = field.members(networkKeys);
  if (!members) return undefined;
  const ipv6 = members.boolean('enable_ipv6') ?? false;
  if (ipv6) members.get('enable_ipv6')?.warn('is passed on; `docker stack deploy` refuses it');
  return {
    ...externalOf(members),
    driver: members.text('driver') ?? '',
    driverOpts: options(members.get('driver_opts')),
    internal: members.boolean('internal') ?? false,
    attachable: members.boolean('attachable') ?? false,
    ipv6,
    labels: strings(members.get('labels')),
    ...readIpam(members.get('ipam')),
  };
}

function readIpam(field: Field | undefined): Pick<ComposeNetwork, 'ipam'> {
  const members = field?.members({ known: ['driver', 'config', 'options'] });
  if (!members) return {};
  const driver = members.text('driver') ?? '';
  const config = (members.get('config')?.items() ?? []).flatMap((item) => {
    const pool = item.members({ known: ['subnet', 'gateway', 'ip_range', 'aux_addresses'] });
    if (!pool) return [];
    return [
      {
        subnet: address(pool.get('subnet')),
        gateway: address(pool.get('gateway')),
        ipRange: address(pool.get('ip_range')),
        auxiliary: options(pool.get('aux_addresses')) ?? {},
      },
    ];
  });
  if (driver === '' && config.length === 0) return {};
  return { ipam: { driver, options: options(members.get('options')) ?? {}, config } };
}

function address(field: Field | undefined): string {
  const text = field?.text() ?? '';
  if (!field || /^[0-9a-fA-F:.]+(\/\d{1,3})?$/.test(text)) return text;
  return field.wrong('must be an address or a subnet such as 10.5.0.0/16') ?? '';
}

function readVolume(field: Field): ComposeVolume | undefined {
  const members = optionalMembers(field, volumeKeys);
  if (!members) return { name: '', external: false, driver: '', driverOpts: undefined, labels: {} };
  if (members.has('x-cluster-spec'))
    members.get('x-cluster-spec')?.warn('is ignored: make the cluster volume beforehand');
  const { external, name } = externalOf(members);
  if (external)
    for (const key of ['driver', 'driver_opts', 'labels'])
      members.get(key)?.wrong('does not go with `external`; remove one of them');
  return {
    external,
    name,
    driver: members.text('driver') ?? '',
    driverOpts: options(members.get('driver_opts')),
    labels: strings(members.get('labels')),
  };
}

function readFileObject(
  field: Field,
  rules: ServiceRules,
  isSecret: boolean,
): ComposeFileObject | undefined {
  const members = field.members(isSecret ? secretKeys : configKeys);
  if (!members) return undefined;
  const { external, name } = externalOf(members);
  const driver = members.text('driver') ?? '';
  const sources = ['file', 'content', 'environment'].filter((key) => members.get(key));
  if (driver !== '' && sources.length > 0)
    field.wrong(`has both \`driver\` and \`${sources[0]}\`; keep one`);
  else if (!external && driver === '' && sources.length !== 1)
    field.wrong('needs exactly one of `file`, `content`, `environment` and `external: true`');
  const content = external || driver !== '' ? undefined : readContent(members, rules);
  return {
    path: field.path,
    name,
    external,
    file: members.text('file') ?? '',
    labels: strings(members.get('labels')),
    driver,
    driverOpts: options(members.get('driver_opts')) ?? {},
    templateDriver: members.text('template_driver') ?? '',
    ...(content ? { content } : {}),
  };
}

function readContent(members: NonNullable<ReturnType<Field['members']>>, rules: ServiceRules) {
  const file = members.get('file');
  const path = file?.text();
  if (file && path !== undefined)
    return (
      rules.files(path) ??
      file.wrong('names a file that the App does not have; add it to `spec.files`')
    );
  const inline = members.get('content');
  inline?.warn('is passed on; `docker stack deploy` refuses it');
  const text = inline?.forSecrets().text() ?? fromEnvironment(members.get('environment'));
  return text === undefined ? undefined : new TextEncoder().encode(text);
}

function fromEnvironment(field: Field | undefined): string | undefined {
  const name = field?.text();
  if (!field || name === undefined) return undefined;
  field.warn('is passed on; `docker stack deploy` refuses it');
  return (
    field.context.variables.lookup(name) ??
    field.wrong('names a variable that is not set; set it in the env of the App')
  );
}
