import assert from 'node:assert/strict';
import { test } from 'node:test';
import { anApp, aRevision } from '../builders.ts';
import { appLabel, revisionName, staleRevisions } from './revision.ts';

test('a revision is named by the spec alone', () => {
  const name = revisionName(anApp());
  assert.equal(revisionName(anApp({ metadata: { uid: 'another', generation: 7 } })), name);
  assert.notEqual(revisionName(anApp({ spec: { image: 'shop:2' } })), name);
  assert.ok(revisionName(anApp({ name: 'a'.repeat(253) })).length <= 253);
});

test('the label of an App fits whatever its name', () => {
  assert.equal(appLabel('web'), 'web');
  const long = `${'a'.repeat(51)}.${'b'.repeat(100)}`;
  assert.match(appLabel(long), /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
  assert.ok(appLabel(long).length <= 63);
});

test('the newest revisions and those in use are kept', () => {
  const revisions = Array.from({ length: 13 }, (_, index) => ({
    ...aRevision({}, `web-${index + 1}`),
    revision: index + 1,
  }));
  assert.deepEqual(
    staleRevisions(revisions, new Set(['web-2'])).map(({ metadata }) => metadata.name),
    ['web-3', 'web-1'],
  );
});
