import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'node:test';
import { Interner } from './interning.ts';

const text = (i: number): string =>
  JSON.stringify({
    metadata: { name: `inst-${i}`, resourceVersion: String(i), labels: {} },
    status: {
      conditions: ['Ready', 'Accepted', 'Placed', 'Deployed'].map((type) => ({
        type,
        status: 'True',
        reason: `${type}BecauseAllIsWell`,
        message: `${type}: the spec can be carried out, and was carried out.`,
        lastTransitionTime: '2026-01-01T00:00:00Z',
      })),
      ports: [{ name: 'http', publicPort: 8080 + i, ready: true, node: null }],
    },
  });

test('a shared object is what it was', () => {
  const interner = new Interner();
  const shared = interner.share(JSON.parse(text(1)) as object);
  assert.deepEqual(shared, JSON.parse(text(1)));
  assert.deepEqual(interner.share(JSON.parse(text(2)) as object), JSON.parse(text(2)));
});

test('equal parts are one, and what differs in a name, a type or a kind is not', () => {
  const interner = new Interner();
  const shared = (text: string): { a: unknown } =>
    interner.share(JSON.parse(`{"a":${text}}`) as { a: unknown });
  const first = shared('[{"type":"Ready","status":"True"}]').a as unknown[];
  const again = shared('[{"type":"Ready","status":"True"}]').a as unknown[];
  assert.equal(again[0], first[0]);
  for (const other of [
    '[{"kind":"Ready","status":"True"}]',
    '[{"type":"Ready","status":true}]',
    '[{"type":"Ready"}]',
    '[["Ready","True"]]',
  ])
    assert.deepEqual(shared(other).a, JSON.parse(other));
  assert.deepEqual(shared('{"0":"x"}').a, { 0: 'x' });
  assert.deepEqual(shared('["x"]').a, ['x']);
});

test('of what is large nothing is remembered', () => {
  const interner = new Interner();
  const shared = (part: unknown) =>
    interner.share(JSON.parse(JSON.stringify({ data: part })) as { data: unknown }).data;
  const secret = { key: 'x'.repeat(200) };
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`f${i}`, i]));
  for (const part of [secret, many]) assert.notEqual(shared(part), shared(part));
  assert.equal(shared({ key: 'x' }), shared({ key: 'x' }));
});

test('unique strings do not fill the memory', () => {
  const interner = new Interner();
  for (let i = 0; i < 20_000; i++) interner.text(`unique-${i}`);
  assert.ok(interner.size <= 4_096, `${interner.size} strings`);
  const long = 'x'.repeat(10_000);
  const before = interner.size;
  assert.equal(interner.text(long), long);
  assert.equal(interner.size, before, 'a long string is not kept');
});

test('objects that say the same take a good part less memory', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heapOf = (make: (i: number) => unknown): number => {
    collect();
    const before = process.memoryUsage().heapUsed;
    const kept = Array.from({ length: 5_000 }, (_, i) => make(i));
    collect();
    const after = process.memoryUsage().heapUsed;
    assert.equal(kept.length, 5_000);
    return after - before;
  };
  const plain = heapOf((i) => JSON.parse(text(i)));
  const interner = new Interner();
  const shared = heapOf((i) => interner.share(JSON.parse(text(i)) as object));
  assert.ok(shared < plain * 0.75, `${shared} bytes instead of ${plain}`);
});
