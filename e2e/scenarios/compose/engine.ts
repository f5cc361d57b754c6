/**
 * A stack at an engine by its plain API: made as a driver makes it, and read back in a form without ids,
 * versions and times, in which two stacks can be compared.
 */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { bindReferences, type StackPlan } from '@cloudlet/drivers/compose';
import { systemClock } from '@cloudlet/runtime/base';

type Json = Record<string, unknown>;

export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export class EngineApi {
  readonly #socket: string;
  constructor(socket: string) {
    this.#socket = socket;
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const answer = await new Promise<Answer>((resolve, reject) => {
      const options = {
        socketPath: this.#socket,
        method,
        path,
        headers: { 'Content-Type': 'application/json' },
        signal: AbortSignal.timeout(25_000),
      };
      const call = request(options, (response) => {
        text(response).then((body) => {
          const parsed: unknown = body === '' ? null : JSON.parse(body);
          resolve({ status: response.statusCode ?? 0, body: parsed });
        }, reject);
      });
      call.once('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
    return answer;
  }

  /** The answer's body; an error with the engine's own message otherwise. */
  async expect(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.call(method, path, body);
    if (answer.status < 300) return answer.body;
    throw new EngineRefusal((answer.body as { message?: string } | null)?.message ?? method);
  }

  async list(kind: string, stack?: string): Promise<readonly Json[]> {
    const label = stack ? { label: { [`com.docker.stack.namespace=${stack}`]: true } } : {};
    const query = `filters=${encodeURIComponent(JSON.stringify(label))}`;
    return (await this.expect('GET', `/${kind}?${query}`)) as readonly Json[];
  }
}

export class EngineRefusal extends Error {}

/** Makes a stack as the driver of a swarm does. @throws EngineRefusal */
export async function deployPlan(engine: EngineApi, plan: StackPlan): Promise<void> {
  for (const { spec } of plan.networks)
    if (spec) await engine.expect('POST', '/networks/create', { ...spec, CheckDuplicate: true });
  for (const { spec } of plan.secrets)
    if (spec) await engine.expect('POST', '/secrets/create', spec);
  for (const { spec } of plan.configs)
    if (spec) await engine.expect('POST', '/configs/create', spec);
  const ids = { configs: await idsOf(engine, 'configs'), secrets: await idsOf(engine, 'secrets') };
  for (const { spec } of plan.services)
    await engine.expect('POST', '/services/create', bindReferences(spec, ids));
}

async function idsOf(engine: EngineApi, kind: string): Promise<ReadonlyMap<string, string>> {
  const objects = (await engine.list(kind)) as readonly { ID: string; Spec: { Name: string } }[];
  return new Map(objects.map(({ ID, Spec }) => [Spec.Name, ID]));
}

export async function networkNames(engine: EngineApi): Promise<ReadonlyMap<string, string>> {
  const networks = (await engine.list('networks')) as readonly { Id: string; Name: string }[];
  return new Map(networks.map(({ Id, Name }) => [Id, Name]));
}

/** All that a stack has at the engine, without what differs from one making to the next. */
export async function observeStack(engine: EngineApi, stack: string): Promise<unknown> {
  const names = await networkNames(engine);
  const services = await Promise.all(
    (await engine.list('services', stack)).map(({ ID }) =>
      engine.expect('GET', `/services/${String(ID)}?insertDefaults=true`),
    ),
  );
  const of = async (kind: string) => plain(await engine.list(kind, stack), names);
  return {
    services: byName(plain(services, names) as Json[]),
    networks: byName((await of('networks')) as Json[]),
    configs: byName((await of('configs')) as Json[]),
    secrets: byName((await of('secrets')) as Json[]),
  };
}

const passing = new Set([
  ...['ID', 'Id', 'Version', 'CreatedAt', 'UpdatedAt', 'Created', 'Endpoint', 'ConfigID'],
  ...['SecretID', 'JobStatus', 'PreviousSpec', 'UpdateStatus', 'Peers', 'Containers', 'Services'],
  // Chosen by the engine at the time; `Endpoint` repeats the spec once addresses were given out.
  ...['com.docker.network.driver.overlay.vxlanid_list', 'Gateway'],
]);

function plain(value: unknown, names: ReadonlyMap<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => plain(item, names));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !passing.has(key))
      .map(([key, inner]) => {
        if (key === 'Target' && typeof inner === 'string') return [key, names.get(inner) ?? inner];
        if (key === 'Configs' || key === 'Secrets') return [key, inOrder(plain(inner, names))];
        if (key === 'PublishedPort' && Number(inner) >= 30_000) return [key, 'picked'];
        if (key === 'Subnet' && String(inner).startsWith('10.0.')) return [key, 'picked'];
        return [key, plain(inner, names)];
      }),
  );
}

function inOrder(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return [...(value as unknown[])].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function byName(items: readonly Json[]): readonly Json[] {
  const name = (item: Json) => String((item['Spec'] as Json | undefined)?.['Name'] ?? item['Name']);
  return [...items].sort((a, b) => (name(a) < name(b) ? -1 : 1));
}

/** On its node. A task of a job that had none yet stays in the list of some engines for good. */
function isUnderWay(task: Json): boolean {
  const state = (task['Status'] as Json | undefined)?.['State'];
  return ['assigned', 'accepted', 'preparing', 'ready', 'starting', 'running'].includes(
    String(state),
  );
}

/** Removes all that carries the stack's label, and waits until it is gone. */
export async function removeStack(engine: EngineApi, stack: string): Promise<void> {
  let refused = 'it was not asked';
  const removeAll = async (kind: string, id: string) => {
    const objects = await engine.list(kind, stack);
    for (const object of objects) {
      const answer = await engine.call('DELETE', `/${kind}/${String(object[id])}`);
      refused = JSON.stringify([object['Name'], answer, object['Containers']]);
    }
    return objects.length;
  };
  await removeAll('services', 'ID');
  await removeAll('configs', 'ID');
  await removeAll('secrets', 'ID');
  // A task that still starts brings its node's half of a network back, also after the swarm has forgotten it:
  // tasks end first, and gone is what stays gone.
  let left = 'tasks';
  let quiet = 0;
  const deadline = Date.now() + 60_000;
  while (quiet < 4) {
    if ((await engine.list('tasks', stack)).some(isUnderWay)) left = 'tasks';
    else if ((await removeAll('networks', 'Id')) > 0) left = 'networks';
    else left = '';
    quiet = left === '' ? quiet + 1 : 0;
    if (Date.now() > deadline)
      throw new Error(`${left} of the stack are still there; the engine said ${refused}`);
    await systemClock.sleep(50);
  }
}
