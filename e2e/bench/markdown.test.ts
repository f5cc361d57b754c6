/** The page of figures. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReached, pageOf } from './markdown.ts';
import { targets } from './targets.ts';

test('a figure is reached in the direction of its target', () => {
  const of = (value: number, target?: string) =>
    isReached({ key: 'x', value, ...(target !== undefined && { target }) });
  assert.equal(of(5, '<= 5'), true);
  assert.equal(of(5.1, '<= 5'), false);
  assert.equal(of(0.7, '>= 0.7'), true);
  assert.equal(of(0.69, '>= 0.7'), false);
  assert.equal(of(1), undefined);
});

test('every target can be read', () => {
  for (const [key, target] of Object.entries(targets))
    assert.doesNotThrow(() => isReached({ key, value: 1, ...target }));
});

test('what falls short gives its reason, what is reached does not', () => {
  const page = pageOf(
    [
      { key: 'slow', value: 12.3456, unit: 's', target: '<= 5', short: 'the disk is slow.' },
      { key: 'fast', value: 1, target: '<= 5', short: 'never shown' },
    ],
    '2026-01-01',
    { fast: { target: '<= 5' }, absent: { target: '>= 2', unit: 'times' }, plain: { unit: 's' } },
    [{ title: 'Memory', file: 'img/scale-memory.svg' }],
  );
  assert.match(page, /!\[Memory\]\(img\/scale-memory\.svg\)/);
  assert.match(page, /\| `slow` \| 12\.35 s \| <= 5 \| \*\*no\*\* \| {2}\|/);
  assert.match(page, /- `slow`: the disk is slow\./);
  assert.doesNotMatch(page, /never shown/);
  assert.match(page, /## What was not measured\n\n- `absent` \(>= 2 times\)\n/);
  assert.doesNotMatch(page, /plain/);
});
