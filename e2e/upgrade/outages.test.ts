import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOutages, totalOf } from './outages.ts';

test('the spans of a site add up, and one that has not ended counts until now', () => {
  const outages = createOutages();
  outages.down('a', 100);
  outages.down('a', 150); // told twice
  outages.up('a', 300);
  outages.up('a', 400); // it was up
  outages.down('a', 1_000);
  outages.up('a', 1_050);
  outages.down('b', 1_000);
  outages.up('c', 1_000);
  const spans = outages.spans();
  assert.deepEqual(
    [...spans],
    [
      [
        'a',
        [
          { from: 100, to: 300 },
          { from: 1_000, to: 1_050 },
        ],
      ],
      ['b', [{ from: 1_000 }]],
    ],
  );
  assert.deepEqual(
    [...spans.values()].map((of) => totalOf(of, 1_500)),
    [250, 500],
  );
});
