/** Reads `deploy`, and the keys of the Compose specification that mean the same. */
import type { Field, Members } from '../field.ts';
import type {
  ComposeDeploy,
  ComposeLimits,
  ComposeReservations,
  ComposeRestart,
  ComposeUpdate,
} from '../model.ts';
import { deployKeys } from './keys.ts';
import { choice, cpus, duration, size, strings } from './values.ts';

const modes = ['replicated', 'global', 'replicated-job', 'global-job'] as const;
const failureActions = ['pause', 'continue', 'rollback'] as const;
const orders = ['start-first', 'stop-first'] as const;
const conditions = ['any', 'none', 'on-failure'] as const;

export function readDeploy(service: Members): ComposeDeploy {
  const field = service.get('deploy');
  const deploy = field?.members(deployKeys);
  const mode = choice(deploy?.get('mode'), modes) ?? 'replicated';
  const replicas = readReplicas(service, deploy, mode);
  const resources = deploy?.get('resources')?.members({ known: ['limits', 'reservations'] });
  const limits = readLimits(resources?.get('limits'), service);
  const reservations = readReservations(resources?.get('reservations'), service);
  const restart = readRestart(deploy?.get('restart_policy'), service.get('restart'));
  return {
    mode,
    ...(replicas === undefined ? {} : { replicas }),
    endpointMode: readEndpointMode(deploy?.get('endpoint_mode')),
    labels: strings(deploy?.get('labels')),
    ...optional('update', readUpdate(deploy?.get('update_config'))),
    ...optional('rollback', readUpdate(deploy?.get('rollback_config'))),
    ...optional('limits', limits),
    ...optional('reservations', reservations),
    ...optional('restart', restart),
    ...readPlacement(deploy?.get('placement')),
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}

function readReplicas(service: Members, deploy: Members | undefined, mode: string) {
  const field = deploy?.get('replicas');
  const scale = service.get('scale');
  scale?.warn('is taken as `deploy.replicas`');
  if (scale && field) scale.wrong('says the same as `deploy.replicas`; keep that one');
  const chosen = field ?? scale;
  if (chosen && mode.startsWith('global'))
    return chosen.wrong('only works with mode replicated or replicated-job');
  return chosen?.integer(0, 1_000_000);
}

function readEndpointMode(field: Field | undefined): string {
  const mode = field?.text()?.toLowerCase() ?? '';
  if (field && mode !== '' && mode !== 'vip' && mode !== 'dnsrr')
    field.wrong('must be one of vip, dnsrr');
  return mode;
}

function readUpdate(field: Field | undefined): ComposeUpdate | undefined {
  const members = field?.members({
    known: ['parallelism', 'delay', 'failure_action', 'monitor', 'max_failure_ratio', 'order'],
  });
  if (!members) return undefined;
  return {
    parallelism: members.get('parallelism')?.integer() ?? 1,
    delay: duration(members.get('delay')) ?? 0,
    failureAction: choice(members.get('failure_action'), failureActions) ?? '',
    monitor: duration(members.get('monitor')) ?? 0,
    maxFailureRatio: shortFloat(members.get('max_failure_ratio')?.number(0, 1) ?? 0),
    order: choice(members.get('order'), orders) ?? '',
  };
}

/** The shortest decimal that is the same single-precision number: the engine keeps no more. */
function shortFloat(value: number): number {
  const single = Math.fround(value);
  for (let digits = 1; digits <= 9; digits += 1) {
    const short = Number(single.toPrecision(digits));
    if (Math.fround(short) === single) return short;
  }
  return single;
}

function readLimits(field: Field | undefined, service: Members): ComposeLimits | undefined {
  const members = field?.members({ known: ['cpus', 'memory', 'pids'] });
  const modern = {
    cpus: instead(service, 'cpus', 'deploy.resources.limits.cpus', members?.get('cpus')),
    memory: instead(service, 'mem_limit', 'deploy.resources.limits.memory', members?.get('memory')),
    pids: instead(service, 'pids_limit', 'deploy.resources.limits.pids', members?.get('pids')),
  };
  if (!members && !modern.cpus && !modern.memory && !modern.pids) return undefined;
  return {
    nanoCpus: cpus(members?.get('cpus') ?? modern.cpus) ?? 0,
    memoryBytes: size(members?.get('memory') ?? modern.memory) ?? 0,
    pids: Math.max(0, (members?.get('pids') ?? modern.pids)?.integer(-1) ?? 0),
  };
}

function readReservations(
  field: Field | undefined,
  service: Members,
): ComposeReservations | undefined {
  const members = field?.members({
    known: ['cpus', 'memory', 'generic_resources'],
    refused: { devices: 'is not supported: ask for generic_resources that the nodes offer' },
  });
  const path = 'deploy.resources.reservations.memory';
  const modern = instead(service, 'mem_reservation', path, members?.get('memory'));
  if (!members && !modern) return undefined;
  return {
    nanoCpus: cpus(members?.get('cpus')) ?? 0,
    memoryBytes: size(members?.get('memory') ?? modern) ?? 0,
    generic: (members?.get('generic_resources')?.items() ?? []).flatMap(readGeneric),
  };
}

function readGeneric(field: Field) {
  const spec = field
    .members({ known: ['discrete_resource_spec'] })
    ?.get('discrete_resource_spec')
    ?.members({ known: ['kind', 'value'] });
  const kind = spec?.text('kind');
  if (!spec || !kind)
    return field.wrong('needs `discrete_resource_spec` with `kind` and `value`') ?? [];
  return [{ kind, value: spec.get('value')?.integer() ?? 0 }];
}

/** A key of the Compose specification that stands for one of `deploy`. */
function instead(service: Members, key: string, other: string, there: Field | undefined) {
  const field = service.get(key);
  if (!field) return undefined;
  if (there) return field.wrong(`says the same as \`${other}\`; keep that one`);
  field.warn(`is taken as \`${other}\``);
  return field;
}

function readRestart(
  policy: Field | undefined,
  restart: Field | undefined,
): ComposeRestart | undefined {
  if (policy) {
    restart?.warn('is ignored: `deploy.restart_policy` is there');
    return readRestartPolicy(policy);
  }
  const text = restart?.text();
  if (!text || !restart) return undefined;
  restart.warn('is taken as `deploy.restart_policy`');
  const found = /^(no|always|unless-stopped|on-failure)(?::(\d{1,9}))?$/.exec(text);
  if (!found || (found[2] && found[1] !== 'on-failure'))
    return restart.wrong('must be one of no, always, unless-stopped, on-failure, on-failure:3');
  if (found[1] === 'no') return undefined;
  if (found[1] !== 'on-failure') return { condition: 'any' };
  return { condition: 'on-failure', maxAttempts: Number(found[2] ?? 0) };
}

function readRestartPolicy(field: Field): ComposeRestart | undefined {
  const members = field.members({ known: ['condition', 'delay', 'max_attempts', 'window'] });
  if (!members) return undefined;
  return {
    condition: choice(members.get('condition'), conditions) ?? '',
    ...optional('delay', duration(members.get('delay'))),
    ...optional('maxAttempts', members.get('max_attempts')?.integer()),
    ...optional('window', duration(members.get('window'))),
  };
}

function readPlacement(field: Field | undefined) {
  const members = field?.members({
    known: ['constraints', 'preferences', 'max_replicas_per_node'],
  });
  const preferences = members?.get('preferences')?.items() ?? [];
  return {
    constraints: (members?.get('constraints')?.items() ?? []).flatMap(readConstraint),
    spread: preferences.flatMap((item) => {
      const spread = item.members({ known: ['spread'] })?.text('spread');
      return spread === undefined ? [] : [spread];
    }),
    maxReplicas: members?.get('max_replicas_per_node')?.integer() ?? 0,
  };
}

function readConstraint(field: Field): readonly string[] {
  const text = field.text();
  if (text === undefined) return [];
  if (!/^\s*[a-zA-Z0-9._/-]+\s*(==|!=)\s*\S/.test(text))
    field.wrong('must read as `node.labels.zone == x` or `node.role != manager`');
  return [text];
}
