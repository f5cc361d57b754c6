import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IndexedHeap } from './heap.ts';
import { seededRandom } from './random.ts';

interface Item {
  value: number;
}

const ascending = (): IndexedHeap<Item> => new IndexedHeap((a, b) => a.value < b.value);

test('a heap gives its items in order, whatever was pushed, moved and removed', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const heap = ascending();
    const model = new Set<Item>();
    for (let step = 0; step < 60; step++) {
      const known = [...model][Math.floor(random() * model.size)];
      const dice = random();
      if (dice < 0.5 || !known) {
        const item = { value: Math.floor(random() * 20) };
        heap.push(item);
        model.add(item);
      } else if (dice < 0.75) {
        known.value = Math.floor(random() * 20);
        heap.push(known);
      } else {
        assert.equal(heap.remove(known), true);
        model.delete(known);
      }
      assert.equal(heap.size, model.size);
      if (model.size > 0)
        assert.equal(heap.peek()?.value, Math.min(...[...model].map((item) => item.value)));
    }
    const popped: number[] = [];
    for (let item = heap.pop(); item; item = heap.pop()) popped.push(item.value);
    const expected = [...model].map((item) => item.value).sort((a, b) => a - b);
    assert.deepEqual(popped, expected, `seed ${seed}`);
  }
});

test('removing what is not in a heap changes nothing', () => {
  const heap = ascending();
  heap.push({ value: 1 });
  assert.equal(heap.remove({ value: 1 }), false);
  assert.equal(heap.size, 1);
  assert.equal(heap.has({ value: 1 }), false);
});
