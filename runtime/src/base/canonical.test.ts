import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { canonicalJson, contentHash, keyedHash } from './canonical.ts';

test('the order of keys does not count, the order of a list does', () => {
  assert.equal(canonicalJson({ b: [1, { d: 1, c: 2 }], a: 1 }), '{"a":1,"b":[1,{"c":2,"d":1}]}');
  assert.equal(contentHash({ a: 1, b: 2 }), contentHash({ b: 2, a: 1 }));
  assert.notEqual(contentHash([1, 2]), contentHash([2, 1]));
});

test('a member that is undefined is as good as absent', () => {
  assert.equal(canonicalJson({ a: undefined, b: null }), '{"b":null}');
});

test('the hash is SHA-256, cut to its length', () => {
  const expected = createHash('sha256').update('{"a":1}').digest('hex');
  assert.equal(contentHash({ a: 1 }), expected);
  assert.equal(contentHash({ a: 1 }, 8), expected.slice(0, 8));
});

test('a keyed hash depends on its key', () => {
  assert.notEqual(keyedHash('one', 'secret'), keyedHash('other', 'secret'));
  assert.equal(keyedHash('one', 'secret', 8).length, 8);
});
