import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixtures } from './fixtures.ts';
import { mistakesOf } from './validate.ts';

for (const fixture of await fixtures('accept'))
  test(`zod accepts ${fixture.name}`, () => {
    assert.deepEqual(mistakesOf(fixture.object), []);
  });

for (const fixture of await fixtures('reject'))
  test(`zod refuses ${fixture.name} and names the field`, () => {
    const mistakes = mistakesOf(fixture.object);
    assert.notEqual(mistakes.length, 0);
    const named = mistakes.filter((mistake) => mistake.path === fixture.field);
    assert.notEqual(named.length, 0, `${fixture.field} not named in ${JSON.stringify(mistakes)}`);
    if (fixture.expect)
      assert.ok(named.some((mistake) => mistake.message.includes(fixture.expect ?? '')));
  });
