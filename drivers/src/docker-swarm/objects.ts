/**
 * What a stack's services need first: networks, configs and secrets.
 *
 * Guarantees: what is there is found by name and left alone; what another call made at the same moment counts
 * as made; configs and secrets whose names hold their content are collected when no service names them.
 */
import { ConflictError, DriverError, NotFoundError } from '@cloudlet/runtime/base';
import type {
  FileObjectSpec,
  ObjectIds,
  StackFileObject,
  StackNetwork,
  StackPlan,
} from '../compose/index.ts';
import { type Engine, removed } from './engine.ts';
import type { FileObject, Network, Service } from './engine-types.ts';
import { byStack, clusterLabel, stackLabel } from './names.ts';

export interface EnsuredNetworks {
  /** Ids by name, but for those that every node has by itself. */
  readonly ids: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

export async function ensureNetworks(
  engine: Engine,
  networks: readonly StackNetwork[],
  signal: AbortSignal,
): Promise<EnsuredNetworks> {
  const names = networks.map(({ name }) => name);
  const warnings: string[] = [];
  let found = await networksNamed(engine, names, signal);
  for (const { name, spec } of networks) {
    const existing = found.get(name);
    if (existing) warnings.push(...differences(existing, spec));
    else if (spec) await createNetwork(engine, spec, signal);
    else throw missing('network', name);
  }
  if (names.some((name) => !found.has(name))) found = await networksNamed(engine, names, signal);
  const ofSwarm = [...found].filter(([name]) => !isNodeNetwork(name));
  return { ids: new Map(ofSwarm.map(([name, { Id }]) => [name, Id])), warnings };
}

/** Whether a network is one that every node has by itself: its id here means nothing to the swarm. */
export const isNodeNetwork = (name: string): boolean => ['bridge', 'host', 'none'].includes(name);

/** Networks by name; of two with the same name the swarm's comes before this node's own. */
async function networksNamed(
  engine: Engine,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Network>> {
  const listed = await engine.networks({ name: names }, signal);
  const local = listed.filter(({ Scope }) => Scope !== 'swarm');
  const swarm = listed.filter(({ Scope }) => Scope === 'swarm');
  return new Map([...local, ...swarm].map((network) => [network.Name, network]));
}

/** A network cannot be changed while it is used; what would have to be is told. */
function differences(existing: Network, spec: StackNetwork['spec']): readonly string[] {
  if (!spec) return [];
  const has = existing.Options ?? {};
  const isEncrypted = 'encrypted' in has;
  const wantsEncrypted = 'encrypted' in (spec.Options ?? {});
  if (isEncrypted === wantsEncrypted) return [];
  return [`networks.${spec.Name}: encryption takes effect when the instance is made anew`];
}

async function createNetwork(
  engine: Engine,
  spec: NonNullable<StackNetwork['spec']>,
  signal: AbortSignal,
): Promise<void> {
  await orExisting(
    engine.call(`make network ${spec.Name}`, signal, (docker, call) =>
      docker.createNetwork({ ...spec, CheckDuplicate: true, ...call }),
    ),
  );
}

export async function ensureFileObjects(
  engine: Engine,
  wanted: {
    readonly configs: readonly StackFileObject[];
    readonly secrets: readonly StackFileObject[];
  },
  signal: AbortSignal,
): Promise<ObjectIds> {
  const configs = await ensureKind(wanted.configs, {
    kind: 'config',
    list: (names) => engine.configs({ name: names }, signal),
    create: (spec) =>
      engine.call(`make config ${spec.Name}`, signal, (docker, call) =>
        docker.createConfig({ ...spec, ...call }),
      ),
  });
  const secrets = await ensureKind(wanted.secrets, {
    kind: 'secret',
    list: (names) => engine.secrets({ name: names }, signal),
    create: (spec) =>
      engine.call(`make secret ${spec.Name}`, signal, (docker, call) =>
        docker.createSecret({ ...spec, ...call }),
      ),
  });
  return { configs, secrets };
}

/**
 * Configs and secrets of a stack that is taken over that the plan has just so: their names with the hash of
 * their content. A secret's content cannot be read, so one that is there by its name is believed to be equal.
 */
export async function adoptableFiles(
  engine: Engine,
  { stack, configs, secrets }: StackPlan,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const present = {
    configs: await engine.configs(byStack(stack), signal),
    secrets: await engine.secrets(byStack(stack), signal),
  };
  const named = (list: readonly FileObject[], wanted: StackFileObject): FileObject | undefined =>
    list.find(({ Spec }) => wanted.name.replace(/-[0-9a-f]{10}$/, '') === Spec.Name);
  return [
    ...configs.filter((one) => named(present.configs, one)?.Spec.Data === one.spec?.Data),
    ...secrets.filter((one) => named(present.secrets, one) !== undefined),
  ].flatMap(({ name, spec }) => (spec ? [name] : []));
}

interface Kind {
  readonly kind: 'config' | 'secret';
  readonly list: (names: readonly string[]) => Promise<readonly FileObject[]>;
  readonly create: (spec: FileObjectSpec) => Promise<unknown>;
}

async function ensureKind(
  wanted: readonly StackFileObject[],
  { kind, list, create }: Kind,
): Promise<ReadonlyMap<string, string>> {
  if (wanted.length === 0) return new Map();
  const names = wanted.map(({ name }) => name);
  let found = idsOf(await list(names));
  const absent = wanted.filter(({ name }) => !found.has(name));
  for (const { name, spec } of absent) {
    if (!spec) throw missing(kind, name);
    await orExisting(create(spec));
  }
  if (absent.length > 0) found = idsOf(await list(names));
  return found;
}

function idsOf(objects: readonly FileObject[]): ReadonlyMap<string, string> {
  return new Map(objects.map(({ ID, Spec }) => [Spec.Name, ID]));
}

async function orExisting(creation: Promise<unknown>): Promise<void> {
  try {
    await creation;
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
  }
}

function missing(kind: string, name: string): DriverError {
  return new DriverError('DeployFailed', `the external ${kind} ${name} is not at the site`, {
    cause: new NotFoundError(name),
  });
}

/** Removes configs and secrets of the stack that neither the plan nor a service has any more. */
export async function collectFileObjects(
  engine: Engine,
  stack: string,
  services: readonly Service[],
  signal: AbortSignal,
): Promise<void> {
  const used = new Set(services.flatMap(namesUsed));
  for (const config of await engine.configs(byStack(stack), signal))
    if (!used.has(config.Spec.Name)) await removeConfig(engine, config, signal);
  for (const secret of await engine.secrets(byStack(stack), signal))
    if (!used.has(secret.Spec.Name)) await removeSecret(engine, secret, signal);
}

/** A roll-back needs what the previous specification names, so that is used too. */
function namesUsed({ Spec, PreviousSpec }: Service): readonly string[] {
  return [Spec, PreviousSpec].flatMap((spec) => [
    ...(spec?.TaskTemplate.ContainerSpec.Configs ?? []).map((config) => config.ConfigName),
    ...(spec?.TaskTemplate.ContainerSpec.Secrets ?? []).map((secret) => secret.SecretName),
  ]);
}

async function removeConfig(engine: Engine, { ID, Spec }: FileObject, signal: AbortSignal) {
  return whileUnused(
    engine.call(`remove config ${Spec.Name}`, signal, (docker, call) =>
      docker.getConfig(ID).remove(call),
    ),
  );
}

async function removeSecret(engine: Engine, { ID, Spec }: FileObject, signal: AbortSignal) {
  return whileUnused(
    engine.call(`remove secret ${Spec.Name}`, signal, (docker, call) =>
      docker.getSecret(ID).remove(call),
    ),
  );
}

/** Whether it is gone; what a task still has is left for the next time. */
async function whileUnused(removal: Promise<unknown>): Promise<boolean> {
  try {
    await removed(removal);
    return true;
  } catch (error) {
    if (error instanceof Error && /is in use|active endpoints/i.test(error.message)) return false;
    throw error;
  }
}

/** Removes all configs, secrets and networks that carry one of the filters; tells what is still in use. */
export async function removeObjects(
  engine: Engine,
  filters: Record<string, readonly string[]>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const inUse: string[] = [];
  const note = (name: string, isGone: boolean): void => void (isGone || inUse.push(name));
  for (const config of await engine.configs(filters, signal))
    note(`config ${config.Spec.Name}`, await removeConfig(engine, config, signal));
  for (const secret of await engine.secrets(filters, signal))
    note(`secret ${secret.Spec.Name}`, await removeSecret(engine, secret, signal));
  for (const network of await engine.networks(filters, signal))
    note(`network ${network.Name}`, await removeNetwork(engine, network, signal));
  return inUse;
}

function removeNetwork(engine: Engine, { Id, Name }: Network, signal: AbortSignal) {
  return whileUnused(
    engine.call(`remove network ${Name}`, signal, (docker, call) =>
      docker.getNetwork(Id).remove(call),
    ),
  );
}

/**
 * Removes networks of Clusters that no service is in any more; tells those that ending tasks still use. One
 * that an instance is about to join goes, too: its service is refused then, and made with the next try.
 */
export async function removeIdleClusterNetworks(
  engine: Engine,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const networks = await engine.networks({ label: [clusterLabel] }, signal);
  if (networks.length === 0) return [];
  const services = await engine.services({}, signal);
  const used = new Set(
    services.flatMap(({ Spec }) => (Spec.TaskTemplate.Networks ?? []).map(({ Target }) => Target)),
  );
  const inUse: string[] = [];
  for (const network of networks) {
    if (used.has(network.Id) || used.has(network.Name)) continue;
    if (!(await removeNetwork(engine, network, signal))) inUse.push(`network ${network.Name}`);
  }
  return inUse;
}

/** Stacks whose objects carry an instance's label, whatever is left of them. */
export async function stacksOf(
  engine: Engine,
  filters: Record<string, readonly string[]>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const networks = await engine.networks(filters, signal);
  const configs = await engine.configs(filters, signal);
  const secrets = await engine.secrets(filters, signal);
  const names = [
    ...networks.map(({ Labels }) => Labels?.[stackLabel]),
    ...[...configs, ...secrets].map(({ Spec }) => Spec.Labels?.[stackLabel]),
  ];
  return [...new Set(names.filter((name) => name !== undefined))];
}
