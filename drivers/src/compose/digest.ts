/**
 * Whether a service at the engine is what is wanted, or needs an update.
 *
 * The engine stores more than it was told (defaults, ids for names, digests for tags) and, where it is old,
 * less (keys that came after it). Both sides are brought to one form first.
 *
 * Guarantees: a service that was made from a spec is the same as the spec, inspected with defaults filled in
 * or without; a difference that changes what runs is never overlooked, but for an image's digest, which
 * follows its tag only when the tag changes.
 */
import { canonicalJson } from '@cloudlet/runtime/base';
import type { ServiceSpec } from './engine.ts';

export interface EngineFacts {
  /** Names of networks by id, as the engine lists them. */
  readonly networkNames?: ReadonlyMap<string, string>;
  /** Version of the engine's API, such as `1.41`; keys that it does not know are left out of the comparison. */
  readonly apiVersion?: string;
}

type Json = null | boolean | number | string | readonly Json[] | JsonObject;
interface JsonObject {
  readonly [key: string]: Json | undefined;
}

/** Whether `observed` (the `Spec` of an inspected service) is what `wanted` would make of it. */
export function sameService(
  wanted: ServiceSpec,
  observed: unknown,
  facts: EngineFacts = {},
): boolean {
  return serviceDifferences(wanted, observed, facts).length === 0;
}

/** Paths at which they differ, 20 at most, such as `TaskTemplate.ContainerSpec.Env`. Never values. */
export function serviceDifferences(
  wanted: ServiceSpec,
  observed: unknown,
  facts: EngineFacts = {},
): readonly string[] {
  const known = withoutUnknown(wanted as unknown as JsonObject, facts.apiVersion);
  const seen = withoutUnknown(isObject(observed) ? observed : {}, facts.apiVersion);
  const left = normalised(known, facts);
  const right = normalised(withoutResolved(known, seen), facts);
  const paths: string[] = [];
  compare(left, right, '', paths);
  return paths.slice(0, 20);
}

/** Keys by the API version that brought them. */
const since: readonly (readonly [path: readonly string[], version: string])[] = [
  [['TaskTemplate', 'ContainerSpec', 'Healthcheck', 'StartInterval'], '1.44'],
  [['TaskTemplate', 'ContainerSpec', 'Mounts', '*', 'VolumeOptions', 'Subpath'], '1.45'],
  [['TaskTemplate', 'ContainerSpec', 'OomScoreAdj'], '1.46'],
];

/** The spec without the keys that an engine of that API version drops. */
export function withoutUnknown<T>(spec: T, apiVersion: string | undefined): T {
  if (apiVersion === undefined) return spec;
  let result: Json | undefined = spec as Json;
  for (const [path, version] of since)
    if (isOlder(apiVersion, version)) result = without(result, path);
  return result as T;
}

/** Paths of keys in the spec that an engine of that API version drops, for a warning. */
export function unknownKeys(spec: ServiceSpec, apiVersion: string): readonly string[] {
  return since.flatMap(([path, version]) => {
    const full = canonicalJson(spec);
    const isDropped = isOlder(apiVersion, version);
    return isDropped && full !== canonicalJson(without(spec as unknown as Json, path))
      ? [`${path.at(-1)} (needs API ${version})`]
      : [];
  });
}

function isOlder(version: string, other: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [otherMajor = 0, otherMinor = 0] = other.split('.').map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

function without(value: Json | undefined, path: readonly string[]): Json | undefined {
  const [head, ...rest] = path;
  if (head === undefined) return undefined;
  if (head === '*') return isList(value) ? value.map((item) => without(item, rest) ?? null) : value;
  if (!isObject(value) || value[head] === undefined) return value;
  const inner = rest.length === 0 ? undefined : without(value[head], rest);
  const { [head]: _, ...others } = value;
  return inner === undefined ? others : { ...others, [head]: inner };
}

/** The observed spec without what the engine resolved: a digest behind the wanted tag, platforms, ids. */
function withoutResolved(wanted: JsonObject, observed: JsonObject): JsonObject {
  const image = textAt(wanted, ['TaskTemplate', 'ContainerSpec', 'Image']);
  const task = objectAt(observed, 'TaskTemplate');
  const container = objectAt(task, 'ContainerSpec');
  const placement = objectAt(task, 'Placement');
  const isPinned = image !== '' && textAt(container, ['Image']).startsWith(`${image}@`);
  const { Platforms: _, ...place } = placement;
  return {
    ...observed,
    TaskTemplate: {
      ...task,
      Placement: place,
      ContainerSpec: { ...container, ...(isPinned ? { Image: image } : {}) },
    },
  };
}

const second = 1_000_000_000;
const updateDefaults: JsonObject = {
  FailureAction: 'pause',
  Monitor: 5 * second,
  Order: 'stop-first',
};

/** The spec with the engine's defaults filled in, ids replaced by names, and nothing that says nothing. */
function normalised(spec: JsonObject, facts: EngineFacts): JsonObject {
  const task = objectAt(spec, 'TaskTemplate');
  const endpoint = objectAt(spec, 'EndpointSpec');
  const { ForceUpdate: _, Runtime: runtime, ...template } = task;
  const result: JsonObject = {
    ...spec,
    TaskTemplate: {
      ...template,
      ...(runtime === 'container' ? {} : { Runtime: runtime }),
      ContainerSpec: container(objectAt(task, 'ContainerSpec')),
      RestartPolicy: filled(objectAt(task, 'RestartPolicy'), {
        Condition: 'any',
        Delay: 5 * second,
      }),
      Networks: networks(task['Networks'], facts),
    },
    Mode: mode(objectAt(spec, 'Mode')),
    UpdateConfig: update(spec['UpdateConfig']),
    RollbackConfig: update(spec['RollbackConfig']),
    EndpointSpec: {
      ...filled(endpoint, { Mode: 'vip' }),
      Ports: sorted(
        listAt(endpoint, 'Ports').map((port) =>
          isObject(port) ? filled(port, { Protocol: 'tcp', PublishMode: 'ingress' }) : port,
        ),
      ),
    },
  };
  return (pruned(result, '') ?? {}) as JsonObject;
}

function container(spec: JsonObject): JsonObject {
  const references = listAt(spec, 'Configs');
  const privileges = objectAt(spec, 'Privileges');
  const credential = objectAt(privileges, 'CredentialSpec');
  const named = references.find(
    (reference) => isObject(reference) && reference['ConfigID'] === credential['Config'],
  );
  const { Config: configId, ...others } = credential;
  const Config = isObject(named) && configId !== undefined ? named['ConfigName'] : configId;
  return {
    ...filled(spec, { StopGracePeriod: 10 * second, Isolation: 'default' }),
    Configs: sorted(references.map((reference) => withoutKey(reference, 'ConfigID'))),
    Secrets: sorted(listAt(spec, 'Secrets').map((reference) => withoutKey(reference, 'SecretID'))),
    Privileges: { ...privileges, CredentialSpec: { ...others, Config } },
  };
}

function networks(value: Json | undefined, facts: EngineFacts): Json {
  const attachments = (isList(value) ? value : []).map((attachment) => {
    if (!isObject(attachment)) return attachment;
    const target = textAt(attachment, ['Target']);
    return { ...attachment, Target: facts.networkNames?.get(target) ?? target };
  });
  return sorted(attachments);
}

function mode(value: JsonObject): JsonObject {
  const replicated = value['Replicated'];
  if (isObject(replicated)) return { Replicated: filled(replicated, { Replicas: 1 }) };
  const job = value['ReplicatedJob'];
  if (isObject(job)) {
    const total = typeof job['TotalCompletions'] === 'number' ? job['TotalCompletions'] : 1;
    return { ReplicatedJob: filled(job, { MaxConcurrent: 1, TotalCompletions: total }) };
  }
  // An empty object says which mode it is; pruning must not lose it.
  return { is: Object.keys(value).join() };
}

function update(value: Json | undefined): JsonObject {
  if (!isObject(value)) return { ...updateDefaults, Parallelism: 1 };
  return filled(value, { ...updateDefaults, Parallelism: 0 });
}

/** The object with `defaults` where it says nothing. */
function filled(value: JsonObject, defaults: JsonObject): JsonObject {
  const result: Record<string, Json | undefined> = { ...value };
  for (const [key, preset] of Object.entries(defaults)) {
    const isUnset = result[key] === undefined || result[key] === null || result[key] === '';
    const isZero = result[key] === 0 && typeof preset === 'number' && zeroIsUnset.has(key);
    if (isUnset || isZero) result[key] = preset;
  }
  return result;
}

/** Durations of which the engine takes 0 for its default. */
const zeroIsUnset = new Set(['Monitor']);
/** Keys whose 0 or false says something that their absence does not. */
const tellingZero = new Set([
  'Replicas',
  'Parallelism',
  'Init',
  'TotalCompletions',
  'MaxConcurrent',
  'Delay',
]);

function pruned(value: Json | undefined, key: string): Json | undefined {
  if (isList(value)) {
    const items = value.map((item) => pruned(item, '') ?? null);
    return items.length === 0 ? undefined : items;
  }
  if (isObject(value)) {
    const members = Object.entries(value).flatMap(([name, inner]) => {
      // Empty labels and options are values, not gaps.
      const kept = isText(inner) && isMapOfTexts(key) ? inner : pruned(inner, name);
      return kept === undefined ? [] : [[name, kept] as const];
    });
    return members.length === 0 ? undefined : Object.fromEntries(members);
  }
  if (value === null || value === undefined || value === '') return undefined;
  if ((value === 0 || value === false) && !tellingZero.has(key)) return undefined;
  return value;
}

function isMapOfTexts(key: string): boolean {
  return ['Labels', 'Options', 'DriverOpts', 'Sysctls'].includes(key);
}

function compare(
  left: Json | undefined,
  right: Json | undefined,
  path: string,
  found: string[],
): void {
  if (found.length >= 20 || canonicalJson(left) === canonicalJson(right)) return;
  if (!isObject(left) || !isObject(right)) {
    found.push(path);
    return;
  }
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)]))
    compare(left[key], right[key], path === '' ? key : `${path}.${key}`, found);
}

function sorted(items: readonly Json[]): readonly Json[] {
  return items
    .map((item) => [canonicalJson(item), item] as const)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([, item]) => item);
}

function withoutKey(value: Json, key: string): Json {
  if (!isObject(value)) return value;
  const { [key]: _, ...others } = value;
  return others;
}

function objectAt(value: JsonObject, key: string): JsonObject {
  const inner = value[key];
  return isObject(inner) ? inner : {};
}

function listAt(value: JsonObject, key: string): readonly Json[] {
  const inner = value[key];
  return isList(inner) ? inner : [];
}

function textAt(value: JsonObject, path: readonly string[]): string {
  let inner: Json | undefined = value;
  for (const key of path) inner = isObject(inner) ? inner[key] : undefined;
  return typeof inner === 'string' ? inner : '';
}

function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

function isList(value: unknown): value is readonly Json[] {
  return Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}
