import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { staleFiles } from './generate.ts';
import { lower } from './lower.ts';

test('the committed manifests and the reference are what the schemas give', async () => {
  assert.deepEqual(await staleFiles(), []);
});

const field = (schema: z.ZodType) => z.object({ it: schema.describe('It.') });

for (const [name, schema, problem] of [
  ['a union', z.union([z.string().max(1), z.int()]), /spec\.it: anyOf is not structural/],
  ['a map', z.record(z.string().max(1), z.string().max(1)), /spec\.it: a map/],
  ['an unknown', z.unknown(), /spec\.it: a schema without a type/],
  ['a string without a bound', z.string(), /spec\.it: a string without maxLength/],
  ['a list without a bound', z.array(z.int()), /spec\.it: a list without maxItems/],
] as const)
  test(`lowering refuses ${name} and names its path`, () => {
    assert.throws(() => lower(field(schema)), problem);
  });

test('lowering refuses a field without a description', () => {
  assert.throws(() => lower(z.object({ it: z.int() })), /spec\.it: a field without a description/);
});

test('an integer loses the bounds that zod invents and keeps those that were set', () => {
  assert.deepEqual(lower(field(z.int().min(1))).properties?.['it'], {
    type: 'integer',
    description: 'It.',
    format: 'int64',
    minimum: 1,
  });
});

test('a date-time is checked by its format, without a pattern', () => {
  assert.deepEqual(lower(field(z.iso.datetime({ offset: true }))).properties?.['it'], {
    type: 'string',
    description: 'It.',
    format: 'date-time',
    maxLength: 64,
  });
});
