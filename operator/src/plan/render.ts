/**
 * Renders a plan: what one instance should be at its site.
 *
 * Guarantees: a pure function of the AppInst (its spec, and the placement, ports and roll-out that the
 * operator pinned), the ControllerRevision and the copy of the secrets that are named there; the same on the
 * operator, every hub and the plugin; a field at its default is absent. It never guesses: an input that is
 * not there, or is another than the pinned one, is a WaitingError.
 */
import {
  annotations,
  type AppInst,
  type AppPort,
  type AppSpec,
  type Plan,
  type PlanPort,
} from '@cloudlet/crds';
import { WaitingError } from '@cloudlet/runtime/base';
import type { ControllerRevision, SecretObject } from '../kinds.ts';
import { decode, envTarget, fileTarget, nameKeyTarget, registryTarget } from './secrets.ts';
import { fillTemplates, type TemplateValues } from './templates.ts';

export interface RenderInput {
  readonly appInst: AppInst;
  /** The one that `status.rollout.revision` names. */
  readonly revision: ControllerRevision | undefined;
  /** The copy that `status.rollout.secret` names. */
  readonly secret?: SecretObject | undefined;
}

/** Instance id of an object: its first uid. */
export const instanceIdOf = (object: {
  readonly metadata: {
    readonly uid?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}): string | undefined => object.metadata.annotations?.[annotations.instanceId];

/**
 * @throws WaitingError when something that was pinned is not there yet, TerminalError (`UnknownTemplate`).
 */
export function renderPlan(input: RenderInput): Plan {
  const { appInst } = input;
  const { placement, rollout } = appInst.status ?? {};
  const id = instanceIdOf(appInst);
  if (!id || !placement || !rollout) throw waiting(appInst, 'it is not placed');
  if (rollout.generation !== appInst.metadata.generation)
    throw waiting(appInst, `its generation ${appInst.metadata.generation} is not rolled out yet`);
  const revision = pinned(input.revision, rollout.revision, appInst, 'ControllerRevision');
  const secret = pinned(input.secret, rollout.secret, appInst, 'Secret');
  const spec = revision?.data.spec;
  if (!spec) throw waiting(appInst, 'its ControllerRevision is not named');
  const values = templateValues(appInst, id, spec);
  const suspended = appInst.spec.suspend === true;
  return compact<Plan>({
    id,
    sequence: rollout.sequence,
    requires: requirements(spec, appInst),
    object: {
      namespace: appInst.metadata.namespace ?? '',
      name: appInst.metadata.name,
      uid: appInst.metadata.uid,
      generation: rollout.generation,
    },
    cloudlet: placement.cloudlet,
    cluster: clusterOf(appInst),
    app: { name: appInst.spec.appRef.name, version: spec.version, revision: rollout.revision },
    workload: workloadOf(spec, values),
    replicas: nonDefault(appInst.spec.replicas, 1),
    powerState: nonDefault(appInst.spec.powerState, 'On'),
    suspend: suspended || undefined,
    ...environmentOf(spec, appInst, values, secret),
    files: filesOf(spec, values, secret),
    ports: portsOf(spec, appInst),
    overlayEncrypted: rollout.overlayEncrypted || undefined,
    hostPaths: rollout.hostPaths,
    resources: rollout.resources,
    volumesOnDelete: nonDefault(spec.volumes?.onDelete, 'Retain'),
    registryAuth: registryAuthOf(secret),
    nameKey: nameKeyOf(secret),
    adoptStack: appInst.metadata.annotations?.[annotations.adoptStack],
  });
}

/** What may stand between `{{` and `}}` for this instance. */
export function templateValues(appInst: AppInst, id: string, spec: AppSpec): TemplateValues {
  const { placement, rollout } = appInst.status ?? {};
  const ports = (spec.ports ?? []).map((port) => ({
    port,
    publicPort: publicPortOf(appInst, port),
  }));
  const first = ports.find(({ publicPort }) => publicPort !== undefined);
  return {
    'instance.name': appInst.metadata.name,
    'instance.namespace': appInst.metadata.namespace ?? '',
    'instance.id': id,
    'cloudlet.name': placement?.cloudlet,
    'cluster.name': placement?.cluster?.split('/')[1] ?? 'default',
    'app.version': spec.version,
    uri:
      first?.publicPort === undefined || rollout?.host === undefined
        ? undefined
        : uriOf(first.port.protocol, rollout.host, first.publicPort),
    ...Object.fromEntries(
      ports.map(({ port, publicPort }) => [`ports.${port.name}`, String(publicPort ?? port.port)]),
    ),
  };
}

/** An address for people and programs. */
export function uriOf(protocol: AppPort['protocol'], host: string, port: number): string {
  const address = host.includes(':') ? `[${host}]` : host;
  return `${protocol.toLowerCase()}://${address}:${port}`;
}

function pinned<T extends { readonly metadata: { readonly name: string } }>(
  object: T | undefined,
  name: string | undefined,
  appInst: AppInst,
  kind: string,
): T | undefined {
  if (name === undefined) return undefined;
  if (object?.metadata.name === name) return object;
  throw waiting(appInst, `${kind} ${name} is not there yet`);
}

const waiting = (appInst: AppInst, why: string): WaitingError =>
  new WaitingError(
    'Progressing',
    `AppInst ${appInst.metadata.namespace ?? ''}/${appInst.metadata.name}: ${why}`,
    5_000,
  );

function requirements(spec: AppSpec, appInst: AppInst): string[] | undefined {
  const features = [
    ...((spec.ports ?? []).length > 0 ? ['ports'] : []),
    ...(spec.compose === undefined ? [] : ['compose']),
    ...((spec.files ?? []).length > 0 ? ['files'] : []),
    ...(spec.volumes === undefined ? [] : ['volumes']),
    ...(appInst.metadata.annotations?.[annotations.adoptStack] === undefined ? [] : ['adopt']),
    // Who does not know it would make networks that are not encrypted.
    ...(appInst.status?.rollout?.overlayEncrypted ? ['overlay'] : []),
  ];
  return features.length === 0 ? undefined : features;
}

function clusterOf(appInst: AppInst): Plan['cluster'] {
  const name = appInst.status?.placement?.cluster;
  if (name === undefined) return undefined;
  const nodeLabels = appInst.status?.rollout?.nodeLabels;
  return compact<NonNullable<Plan['cluster']>>({
    name,
    nodeLabels:
      nodeLabels && Object.fromEntries(nodeLabels.map((label) => [label.name, label.value])),
  });
}

function workloadOf(spec: AppSpec, values: TemplateValues): Plan['workload'] {
  if (spec.compose !== undefined)
    return { kind: 'Compose', compose: fillTemplates(spec.compose, values, 'spec.compose') };
  return compact<Extract<Plan['workload'], { kind: 'Image' }>>({
    kind: 'Image',
    image: spec.image ?? '',
    command: spec.command,
    args: spec.args,
  });
}

/** Plain and secret variables; those of the AppInst win, also over a secret one of the same name. */
function environmentOf(
  spec: AppSpec,
  appInst: AppInst,
  values: TemplateValues,
  secret: SecretObject | undefined,
): Pick<Plan, 'env' | 'secretEnv'> {
  const env: Record<string, string> = {};
  const secretEnv: Record<string, string> = {};
  for (const { name, value, secretKeyRef } of spec.env ?? []) {
    if (value !== undefined) env[name] = fillTemplates(value, values, `spec.env[${name}].value`);
    else if (secretKeyRef) secretEnv[name] = decode(copied(secret, envTarget(name)));
  }
  for (const { name, value } of appInst.spec.env ?? []) {
    env[name] = fillTemplates(value, values, `spec.env[${name}].value`);
    delete secretEnv[name];
  }
  return {
    ...(Object.keys(env).length > 0 ? { env } : {}),
    ...(Object.keys(secretEnv).length > 0 ? { secretEnv } : {}),
  };
}

function filesOf(
  spec: AppSpec,
  values: TemplateValues,
  secret: SecretObject | undefined,
): Plan['files'] {
  if (!spec.files || spec.files.length === 0) return undefined;
  return spec.files.map(({ path, content }) => {
    if (content !== undefined)
      return { path, content: fillTemplates(content, values, `spec.files[${path}].content`) };
    const base64 = copied(secret, fileTarget(path));
    const text = decode(base64);
    // What is no UTF-8 would come out changed.
    return Buffer.from(text, 'utf8').toString('base64') === base64
      ? { path, content: text, secret: true }
      : { path, content: base64, encoding: 'base64' as const, secret: true };
  });
}

function copied(secret: SecretObject | undefined, target: string): string {
  const value = secret?.data?.[target];
  if (value === undefined)
    throw new WaitingError('Progressing', `the copy of the secrets lacks ${target}`, 5_000);
  return value;
}

function portsOf(spec: AppSpec, appInst: AppInst): PlanPort[] | undefined {
  if (!spec.ports || spec.ports.length === 0) return undefined;
  return spec.ports.map((port) =>
    compact<PlanPort>({
      name: port.name,
      protocol: port.protocol,
      port: port.port,
      endPort: port.endPort,
      publicPort: publicPortOf(appInst, port),
      internalOnly: port.internalOnly || undefined,
      healthCheck: port.healthCheck,
      service: port.service,
    }),
  );
}

function publicPortOf(appInst: AppInst, port: AppPort): number | undefined {
  if (port.internalOnly) return undefined;
  return appInst.status?.ports?.find(({ name }) => name === port.name)?.publicPort;
}

function registryAuthOf(secret: SecretObject | undefined): Record<string, string> | undefined {
  const value = secret?.data?.[registryTarget];
  return value === undefined ? undefined : (JSON.parse(decode(value)) as Record<string, string>);
}

function nameKeyOf(secret: SecretObject | undefined): string | undefined {
  const value = secret?.data?.[nameKeyTarget];
  return value === undefined ? undefined : decode(value);
}

const nonDefault = <T>(value: T | undefined, standard: T): T | undefined =>
  value === standard ? undefined : value;

/** Leaves out what is undefined, so that a plan has one form. */
function compact<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => member !== undefined),
  ) as unknown as T;
}
