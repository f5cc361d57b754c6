/**
 * What a CustomResourceDefinition takes away from one that was released: objects that were accepted must stay
 * so, and who reads or writes a field must find it again.
 *
 * Guarantees: each difference that can refuse what was accepted, lose what was kept or change what an object
 * means is named by kind and field; what only adds or widens is none. A rule in CEL cannot be judged by its
 * text, so a new one counts, unless it begins by asking for a field that is new as well.
 */
import { isDeepStrictEqual } from 'node:util';

export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string }[];
  readonly [key: string]: unknown;
}

export interface Version {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly subresources?: Readonly<Record<string, unknown>>;
  readonly selectableFields?: readonly { readonly jsonPath: string }[];
  readonly schema: { readonly openAPIV3Schema: Schema };
}

export interface Definition {
  readonly spec: {
    readonly group: string;
    readonly scope: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
      readonly categories?: readonly string[];
    };
    readonly versions: readonly Version[];
  };
}

/** A sentence for each; none: the present one takes nothing away. */
export function incompatibilities(released: Definition, present: Definition): readonly string[] {
  const { kind } = released.spec.names;
  return [
    ...identityProblems(released.spec, present.spec),
    ...released.spec.versions.flatMap((version) => {
      const now = present.spec.versions.find(({ name }) => name === version.name);
      return now ? versionProblems(version, now) : [`version ${version.name} is gone`];
    }),
  ].map((problem) => `${kind}: ${problem}`);
}

type Spec = Definition['spec'];

function identityProblems(released: Spec, present: Spec): readonly string[] {
  const names = (['kind', 'plural', 'singular'] as const).flatMap((name) =>
    changed(`its ${name}`, released.names[name], present.names[name]),
  );
  const lists = (['shortNames', 'categories'] as const).flatMap((name) =>
    (released.names[name] ?? [])
      .filter((each) => !present.names[name]?.includes(each))
      .map((each) => `${each} is gone from its ${name}`),
  );
  return [
    ...changed('its group', released.group, present.group),
    ...changed('its scope', released.scope, present.scope),
    ...names,
    ...lists,
  ];
}

const changed = (what: string, before: unknown, now: unknown): readonly string[] =>
  isDeepStrictEqual(before, now) ? [] : [`${what} was ${shown(before)} and is ${shown(now)}`];

const shown = (value: unknown): string => (value === undefined ? 'absent' : JSON.stringify(value));

function versionProblems(released: Version, present: Version): readonly string[] {
  const { name } = released;
  const fields = (of: Version): readonly string[] =>
    of.selectableFields?.map(({ jsonPath }) => jsonPath) ?? [];
  return [
    ...(released.served && !present.served ? [`version ${name} is not served any more`] : []),
    ...(released.storage && !present.storage ? [`version ${name} is not the stored one`] : []),
    ...Object.keys(released.subresources ?? {}).flatMap((each) =>
      changed(`subresource ${each}`, released.subresources?.[each], present.subresources?.[each]),
    ),
    ...fields(released)
      .filter((each) => !fields(present).includes(each))
      .map((each) => `${each} cannot be selected by any more`),
    ...schemaProblems('', released.schema.openAPIV3Schema, present.schema.openAPIV3Schema),
  ];
}

const upperBounds = ['maximum', 'maxLength', 'maxItems', 'maxProperties'] as const;
const lowerBounds = ['minimum', 'minLength', 'minItems', 'minProperties'] as const;
/** What must stay as it is: a change of it refuses, merges or fills in differently. */
const fixed = ['type', 'format', 'default'] as const;

function schemaProblems(path: string, released: Schema, present: Schema): readonly string[] {
  const own = [
    ...fixed.flatMap((key) => changed(key, released[key], present[key])),
    ...extensionProblems(released, present),
    ...enumProblems(released, present),
    ...upperBounds.flatMap((key) => narrowed(key, released[key], present[key], 1)),
    ...lowerBounds.flatMap((key) => narrowed(key, released[key], present[key], -1)),
    ...(present['pattern'] === undefined
      ? []
      : changed('pattern', released['pattern'], present['pattern'])),
    ...(present.required ?? [])
      .filter((name) => !released.required?.includes(name))
      .map((name) => `${name} is required now`),
    ...ruleProblems(released, present),
  ].map((problem) => `${path || 'the object'}: ${problem}`);
  return [...own, ...childProblems(path, released, present)];
}

function childProblems(path: string, released: Schema, present: Schema): readonly string[] {
  const fields = Object.entries(released.properties ?? {}).flatMap(([name, before]) => {
    const field = path === '' ? name : `${path}.${name}`;
    const now = present.properties?.[name];
    return now ? schemaProblems(field, before, now) : [`${field}: the field is gone`];
  });
  const { items } = released;
  return [...fields, ...(items ? schemaProblems(`${path}[]`, items, present.items ?? {}) : [])];
}

/** How lists merge, what is kept though unknown, and the like. */
function extensionProblems(released: Schema, present: Schema): readonly string[] {
  const keys = new Set([...Object.keys(released), ...Object.keys(present)]);
  keys.delete('x-kubernetes-validations');
  return [...keys]
    .filter((key) => key.startsWith('x-kubernetes-'))
    .flatMap((key) => changed(key, released[key], present[key]));
}

function enumProblems(released: Schema, present: Schema): readonly string[] {
  if (present.enum === undefined) return [];
  if (released.enum === undefined) return ['enum: only listed values are accepted now'];
  const lost = released.enum.filter((value) => !present.enum?.includes(value));
  return lost.map((value) => `enum: ${shown(value)} is not accepted any more`);
}

/** @param sign 1 for an upper bound, -1 for a lower one. */
function narrowed(key: string, before: unknown, now: unknown, sign: 1 | -1): readonly string[] {
  if (now === undefined) return [];
  const isWide = typeof before === 'number' && sign * (now as number) >= sign * before;
  return isWide ? [] : [`${key} was ${shown(before)} and is ${shown(now)}, which accepts less`];
}

function ruleProblems(released: Schema, present: Schema): readonly string[] {
  const before = new Set(released['x-kubernetes-validations']?.map(({ rule }) => rule));
  return (present['x-kubernetes-validations'] ?? [])
    .filter(({ rule }) => !before.has(rule) && !asksForNewField(rule, released))
    .map(({ rule }) => `a new rule: ${rule}`);
}

/** `!has(self.later) || ...` holds for every object that has no `later`, as all that were accepted. */
function asksForNewField(rule: string, released: Schema): boolean {
  if (rule.includes(' ? ')) return false; // it binds weaker, so that the beginning decides nothing
  const [guards = ''] = /^(!has\(self\.\w+\) \|\| )*/.exec(rule) ?? [];
  const asked = [...guards.matchAll(/\w+(?=\))/g)].map(([name]) => name);
  return asked.some((name) => !(name in (released.properties ?? {})));
}
