/** What was released is held against what is there now, and the judge is tried on one change after the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kinds } from '../kinds.ts';
import { type Definition, incompatibilities, type Schema, type Version } from './compatibility.ts';
import { presentDefinition, readRecord, releasedVersion } from './record.ts';

const record = await readRecord();

test('every kind that was released is still there', () => {
  assert.ok(record.size > 0);
  const plurals = new Set(kinds.map(({ plural }) => plural));
  assert.deepEqual(
    [...record.keys()].filter((plural) => !plurals.has(plural)),
    [],
  );
});

for (const [plural, released] of record) {
  const kind = kinds.find((each) => each.plural === plural);
  if (!kind) continue;
  test(`${kind.kind} takes nothing away from what ${releasedVersion(released)} accepts`, () => {
    assert.deepEqual(incompatibilities(released, presentDefinition(kind)), []);
  });
}

const released: Schema = {
  type: 'object',
  required: ['name'],
  'x-kubernetes-validations': [{ rule: 'self.name != self.mode' }],
  properties: {
    name: { type: 'string', minLength: 1, maxLength: 63, pattern: '^[a-z]+$' },
    mode: { type: 'string', enum: ['Fast', 'Safe'], default: 'Safe' },
    free: { type: 'string', maxLength: 10 },
    count: { type: 'integer', format: 'int64', minimum: 0, maximum: 10 },
    ports: {
      type: 'array',
      maxItems: 8,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['port'],
      items: { type: 'object', properties: { port: { type: 'integer' } } },
    },
  },
};

const version: Version = {
  ...{ name: 'v1', served: true, storage: true },
  subresources: { status: {}, scale: { specReplicasPath: '.spec.count' } },
  selectableFields: [{ jsonPath: '.name' }],
  schema: { openAPIV3Schema: released },
};

const definition: Definition = {
  spec: {
    ...{ group: 'g', scope: 'Namespaced' },
    names: { kind: 'Thing', plural: 'things', singular: 'thing', shortNames: ['th', 'tg'] },
    versions: [version],
  },
};

const withSchema = (schema: Schema): Definition => ({
  spec: { ...definition.spec, versions: [{ ...version, schema: { openAPIV3Schema: schema } }] },
});

/** The released schema with a field that is otherwise, or not there. */
function withField(name: string, change: Partial<Schema> | undefined): Definition {
  const { [name]: before, ...others } = released.properties ?? {};
  const properties = change ? { ...others, [name]: { ...before, ...change } } : others;
  return withSchema({ ...released, properties });
}

const without = (name: string): Schema => {
  const { [name]: _, ...rest } = released;
  return rest;
};

const port: Schema = { type: 'object', properties: {} };

for (const [change, present, problem] of [
  ['a field that is gone', withField('free', undefined), 'free: the field is gone'],
  [
    'another type',
    withField('free', { type: 'integer' }),
    'free: type was "string" and is "integer"',
  ],
  ['a format', withField('free', { format: 'ipv4' }), 'free: format was absent and is "ipv4"'],
  [
    'another default',
    withField('mode', { default: 'Fast' }),
    'mode: default was "Safe" and is "Fast"',
  ],
  [
    'a value less',
    withField('mode', { enum: ['Safe'] }),
    'mode: enum: "Fast" is not accepted any more',
  ],
  [
    'a list of values',
    withField('free', { enum: ['a'] }),
    'free: enum: only listed values are accepted now',
  ],
  [
    'a lower bound',
    withField('count', { maximum: 9 }),
    'count: maximum was 10 and is 9, which accepts less',
  ],
  [
    'a higher bound from below',
    withField('count', { minimum: 1 }),
    'count: minimum was 0 and is 1, which accepts less',
  ],
  [
    'a new bound',
    withField('free', { minLength: 1 }),
    'free: minLength was absent and is 1, which accepts less',
  ],
  ['a pattern', withField('free', { pattern: '^a' }), 'free: pattern was absent and is "^a"'],
  [
    'a field that must be given',
    withSchema({ ...released, required: ['name', 'free'] }),
    'the object: free is required now',
  ],
  [
    'a list that merges otherwise',
    withField('ports', { 'x-kubernetes-list-map-keys': ['name'] }),
    'ports: x-kubernetes-list-map-keys was ["port"] and is ["name"]',
  ],
  [
    'a field of a list that is gone',
    withField('ports', { items: port }),
    'ports[].port: the field is gone',
  ],
  [
    'a rule',
    withSchema({ ...released, 'x-kubernetes-validations': [{ rule: 'self.count > 1' }] }),
    'the object: a new rule: self.count > 1',
  ],
  [
    'a rule that asks for a field there was',
    withSchema({ ...released, 'x-kubernetes-validations': [{ rule: '!has(self.free) || false' }] }),
    'the object: a new rule: !has(self.free) || false',
  ],
] as const)
  test(`${change} is named`, () => {
    assert.deepEqual(incompatibilities(definition, present), [`Thing: ${problem}`]);
  });

const { names, versions } = definition.spec;
for (const [change, spec, problem] of [
  ['another scope', { scope: 'Cluster' }, 'its scope was "Namespaced" and is "Cluster"'],
  [
    'a short name that is gone',
    { names: { ...names, shortNames: ['th'] } },
    'tg is gone from its shortNames',
  ],
  ['a version that is gone', { versions: [] }, 'version v1 is gone'],
  [
    'a version that is not served',
    { versions: [{ ...version, served: false }] },
    'version v1 is not served any more',
  ],
  [
    'a field that cannot be selected by',
    { versions: [{ ...version, selectableFields: [] }] },
    '.name cannot be selected by any more',
  ],
  [
    'a subresource that is gone',
    { versions: [{ ...version, subresources: { scale: version.subresources?.['scale'] } }] },
    'subresource status was {} and is absent',
  ],
] as const)
  test(`${change} is named`, () => {
    const present = { spec: { ...definition.spec, ...spec } };
    assert.deepEqual(incompatibilities(definition, present), [`Thing: ${problem}`]);
  });

for (const [change, present] of [
  [
    'a new field with what it requires',
    withField('later', { type: 'object', required: ['a'], properties: { a: { type: 'string' } } }),
  ],
  ['wider bounds', withField('count', { minimum: -1, maximum: 11 })],
  ['a bound that is gone', withField('name', { maxLength: undefined, pattern: undefined })],
  ['a value more', withField('mode', { enum: ['Fast', 'Safe', 'Slow'] })],
  ['a field that need not be given any more', withSchema(without('required'))],
  ['a rule that is gone', withSchema(without('x-kubernetes-validations'))],
  [
    'a rule for those who give a new field',
    withSchema({
      ...released,
      'x-kubernetes-validations': [
        { rule: '!has(self.count) || !has(self.later) || self.later > self.count' },
      ],
    }),
  ],
  [
    'one more version and short name',
    {
      spec: {
        ...definition.spec,
        names: { ...names, shortNames: ['tg', 'th', 't'] },
        versions: [...versions, { ...version, name: 'v2', storage: false }],
      },
    },
  ],
] as const)
  test(`${change} takes nothing away`, () => {
    assert.deepEqual(incompatibilities(definition, present), []);
  });
