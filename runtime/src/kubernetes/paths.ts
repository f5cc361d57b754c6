/** Where objects live in the API: paths, queries and keys. */
import type { KubernetesObject, ObjectKey, ResourceType } from './types.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Place {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/** Such as `/apis/edge.cloudlet.dev/v1alpha1/namespaces/shop/appinsts/web/status`. */
export function resourcePath(type: ResourceType, place: Place = {}, query: Query = {}): string {
  const segments = [
    type.group === '' ? 'api' : `apis/${type.group}`,
    type.version,
    ...(type.namespaced && place.namespace ? ['namespaces', segment(place.namespace)] : []),
    type.plural,
    ...(place.name === undefined ? [] : [segment(place.name)]),
    ...(place.subresource ? [place.subresource] : []),
  ];
  return `/${segments.join('/')}${queryOf(query)}`;
}

/** `?a=b&c=d` without what is undefined; empty when nothing is left. */
export function queryOf(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    if (value !== undefined) parameters.set(name, String(value));
  return parameters.size === 0 ? '' : `?${parameters.toString()}`;
}

/** No name of an object may lead to another path. */
function segment(name: string): string {
  if (name === '' || name === '.' || name === '..') throw new TypeError(`'${name}' is no name`);
  return encodeURIComponent(name);
}

export function apiVersionOf(type: ResourceType): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** `namespace/name`, or the name alone for what is cluster-scoped. */
export function keyOf(object: {
  readonly metadata: Pick<KubernetesObject['metadata'], 'name' | 'namespace'>;
}): ObjectKey {
  const { name, namespace } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

/** The parts of a key. */
export function splitKey(key: ObjectKey): {
  readonly namespace: string | undefined;
  readonly name: string;
} {
  const slash = key.indexOf('/');
  return slash < 0
    ? { namespace: undefined, name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
