/** Reads one service. */
import type { Field, Members } from '../field.ts';
import type {
  ComposeAttachment,
  ComposeFileReference,
  ComposeHealthcheck,
  ComposeService,
} from '../model.ts';
import { imageReference } from '../units.ts';
import { readDeploy } from './deploy.ts';
import { type FileLookup, readEnvironment } from './environment.ts';
import { attachmentKeys, healthcheckKeys, serviceKeys } from './keys.ts';
import { type PathRules, readMounts } from './mounts.ts';
import { readExpose, readPorts } from './ports.ts';
import { command, duration, optionalMembers, options, pairs, strings } from './values.ts';

export interface ServiceRules extends PathRules {
  readonly files: FileLookup;
}

export function readService(
  name: string,
  field: Field,
  rules: ServiceRules,
): ComposeService | undefined {
  const members = field.members(serviceKeys);
  if (!members || isProfiled(members)) return undefined;
  noteWithoutEffect(members);
  return {
    name,
    path: field.path,
    image: readImage(members),
    entrypoint: command(members.get('entrypoint')),
    command: command(members.get('command')),
    configs: readReferences(members.get('configs')),
    secrets: readReferences(members.get('secrets')),
    deploy: readDeploy(members),
    environment: readEnvironment(members, rules.files),
    labels: strings(members.get('labels')),
    networks: readNetworks(members.get('networks')),
    ports: readPorts(members.get('ports')),
    expose: readExpose(members.get('expose')),
    mounts: readMounts(members.get('volumes'), rules),
    ...readCredentialSpec(members.get('credential_spec')),
    ...readHealthcheck(members.get('healthcheck')),
    ...readLogging(members.get('logging')),
    ...readContainer(members),
    ...readNames(members),
  };
}

/** A service that waits for a profile does not run by default. */
function isProfiled(members: Members): boolean {
  const profiles = members.get('profiles');
  if (!profiles || profiles.texts().length === 0) return false;
  profiles.warn('the service is left out: profiles are never switched on here');
  return true;
}

function noteWithoutEffect(members: Members): void {
  const dependsOn = members.get('depends_on');
  if (dependsOn && !dependsOn.isList && !dependsOn.isMap)
    dependsOn.wrong('must be a list or a mapping');
  else dependsOn?.warn('has no effect: a swarm starts all services at once');
  members
    .get('tmpfs')
    ?.warn('is ignored, as by `docker stack deploy`: use `volumes` with type tmpfs');
}

function readImage(members: Members): string {
  const field = members.get('image');
  if (!field) {
    const hint = members.has('build') ? '; nothing is built here: push the image and name it' : '';
    members.field.wrong(`needs \`image\`${hint}`);
    return '';
  }
  const image = field.text();
  if (image === '') field.wrong('is empty; name an image');
  else if (image !== undefined && !imageReference(image))
    field.wrong('is no image name: write it as `registry.example/shop:1.2`, in lower case');
  return image ?? '';
}

function readReferences(field: Field | undefined): readonly ComposeFileReference[] {
  return (field?.items() ?? []).flatMap((item) => {
    if (!item.isMap) return reference(item, item.text());
    const members = item.members({ known: ['source', 'target', 'uid', 'gid', 'mode'] });
    const source = members?.text('source');
    if (members && source === undefined) item.wrong('needs `source`');
    return reference(item, source, members);
  });
}

function reference(item: Field, source: string | undefined, members?: Members) {
  if (source === undefined) return [];
  const id = (key: string) => {
    const text = members?.get(key)?.textOrNumber();
    if (text === undefined || text === '') return '0';
    return /^\d{1,10}$/.test(text)
      ? text
      : (members?.get(key)?.wrong('must be a numeric id') ?? '0');
  };
  return [
    {
      path: item.path,
      source,
      target: members?.text('target') || source,
      uid: id('uid'),
      gid: id('gid'),
      mode: members?.get('mode')?.integer(0, 0o7777) ?? 0o444,
    },
  ];
}

function readNetworks(field: Field | undefined): readonly ComposeAttachment[] {
  if (!field) return [];
  if (field.isList) {
    const names = new Set(field.items().flatMap((item) => item.text() ?? []));
    return [...names].map((network) => ({
      network,
      path: field.path,
      aliases: [],
      driverOpts: {},
    }));
  }
  return field.entries().map(([network, entry]) => {
    const members = optionalMembers(entry, attachmentKeys);
    const aliases = (members?.get('aliases')?.items() ?? []).flatMap((item) => item.text() ?? []);
    const driverOpts = options(members?.get('driver_opts')) ?? {};
    return { network, path: entry.path, aliases, driverOpts };
  });
}

function readCredentialSpec(field: Field | undefined): Pick<ComposeService, 'credentialSpec'> {
  const members = field?.members({ known: ['config', 'file', 'registry'] });
  if (!field || !members) return {};
  const found = (['config', 'file', 'registry'] as const).flatMap((key) => {
    const value = members.text(key);
    return value ? [{ key, value }] : [];
  });
  const [first] = found;
  if (found.length > 1) field.wrong('must have one of config, file and registry');
  if (!first) return {};
  const kind = ({ config: 'Config', file: 'File', registry: 'Registry' } as const)[first.key];
  return { credentialSpec: { kind, value: first.value } };
}

function readHealthcheck(field: Field | undefined): { healthcheck?: ComposeHealthcheck } {
  const members = field?.members(healthcheckKeys);
  if (!field || !members) return {};
  const disable = members.boolean('disable') ?? false;
  const testField = members.get('test')?.forSecrets();
  if (disable && testField) field.wrong('has both `test` and `disable`; keep one');
  const test = testField?.isList ? testField.texts() : shellTest(testField);
  const known = ['NONE', 'CMD', 'CMD-SHELL'];
  if (testField && test?.[0] !== undefined && !known.includes(test[0]))
    testField.warn('starts with none of NONE, CMD, CMD-SHELL: the engine will not run it');
  const interval = duration(members.get('interval'));
  const timeout = duration(members.get('timeout'));
  const startPeriod = duration(members.get('start_period'));
  const startInterval = duration(members.get('start_interval'));
  const retries = members.get('retries')?.integer();
  return {
    healthcheck: {
      disable,
      ...(test ? { test } : {}),
      ...(interval === undefined ? {} : { interval }),
      ...(timeout === undefined ? {} : { timeout }),
      ...(startPeriod === undefined ? {} : { startPeriod }),
      ...(startInterval === undefined ? {} : { startInterval }),
      ...(retries === undefined ? {} : { retries }),
    },
  };
}

function shellTest(field: Field | undefined): readonly string[] | undefined {
  const text = field?.text();
  return text === undefined ? undefined : ['CMD-SHELL', text];
}

function readLogging(field: Field | undefined): Pick<ComposeService, 'logging'> {
  const members = field?.members({ known: ['driver', 'options'] });
  if (!members) return {};
  return {
    logging: {
      driver: members.text('driver') ?? '',
      options: options(members.get('options')) ?? {},
    },
  };
}

function readContainer(members: Members) {
  const init = members.boolean('init');
  const stopGracePeriod = duration(members.get('stop_grace_period'));
  return {
    capAdd: texts(members.get('cap_add')),
    capDrop: texts(members.get('cap_drop')),
    groups: readGroups(members.get('group_add')),
    ...(init === undefined ? {} : { init }),
    isolation: members.text('isolation') ?? '',
    oomScoreAdj: members.get('oom_score_adj')?.integer(-1000, 1000) ?? 0,
    readOnly: members.boolean('read_only') ?? false,
    openStdin: members.boolean('stdin_open') ?? false,
    ...(stopGracePeriod === undefined ? {} : { stopGracePeriod }),
    stopSignal: members.text('stop_signal') ?? '',
    sysctls: strings(members.get('sysctls')),
    tty: members.boolean('tty') ?? false,
    ulimits: readUlimits(members.get('ulimits')),
    user: members.text('user') ?? '',
    workingDir: members.text('working_dir') ?? '',
  };
}

function readNames(members: Members) {
  return {
    dns: (members.get('dns')?.texts() ?? []).filter((address) => {
      if (/^[0-9a-fA-F:.]+$/.test(address)) return true;
      members.get('dns')?.wrong('must be addresses of name servers');
      return false;
    }),
    dnsSearch: members.get('dns_search')?.texts() ?? [],
    hosts: readHosts(members.get('extra_hosts')),
    hostname: members.text('hostname') ?? '',
  };
}

function texts(field: Field | undefined): readonly string[] {
  return (field?.items() ?? []).flatMap((item) => item.text() ?? []);
}

function readGroups(field: Field | undefined): readonly string[] {
  field?.warn('is passed on; `docker stack deploy` refuses it');
  return (field?.items() ?? []).flatMap((item) => item.textOrNumber() ?? []);
}

/** Lines of `/etc/hosts`, from a mapping or a list of `name:address` or `name=address`. */
function readHosts(field: Field | undefined): readonly string[] {
  if (!field) return [];
  const entries = field.isList ? listedHosts(field) : [...pairs(field)].sort(byName);
  return entries.flatMap(([name, address]) => {
    if (!address) return [];
    return [`${address.replace(/^\[(.+)\]$/, '$1')} ${name}`];
  });
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

function listedHosts(field: Field): readonly (readonly [string, string])[] {
  return field.items().flatMap((item) => {
    const text = item.text();
    if (text === undefined) return [];
    const at = text.includes('=') ? text.indexOf('=') : text.indexOf(':');
    if (at < 1) return item.wrong('must read as "name:address" or "name=address"') ?? [];
    return [[text.slice(0, at), text.slice(at + 1)] as const];
  });
}

function readUlimits(field: Field | undefined) {
  const limits = (field?.entries() ?? []).flatMap(([name, entry]) => {
    if (!entry.isMap) {
      const single = entry.integer(-1);
      return single === undefined ? [] : [{ name, soft: single, hard: single }];
    }
    const members = entry.members({ known: ['soft', 'hard'] });
    const soft = members?.get('soft')?.integer(-1);
    const hard = members?.get('hard')?.integer(-1);
    if (members && (!members.has('soft') || !members.has('hard')))
      entry.wrong('needs both `soft` and `hard`');
    return soft === undefined || hard === undefined ? [] : [{ name, soft, hard }];
  });
  return limits.sort((a, b) => (a.name < b.name ? -1 : 1));
}
