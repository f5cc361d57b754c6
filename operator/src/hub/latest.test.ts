import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LatestWriter } from './latest.ts';

/** A writer whose writes the test ends. */
function aWriter(parallel: number) {
  const written: string[] = [];
  const pending: PromiseWithResolvers<void>[] = [];
  const writer = new LatestWriter<string, string>(parallel, async (key, value) => {
    written.push(`${key}=${value}`);
    const turn = Promise.withResolvers<void>();
    pending.push(turn);
    await turn.promise;
    return `done ${value}`;
  });
  return { writer, written, pending };
}

test('of one key one write is under way, and only the latest waits', async () => {
  const { writer, written, pending } = aWriter(4);
  const first = writer.put('a', '1');
  const second = writer.put('a', '2');
  const third = writer.put('a', '3');
  assert.deepEqual(written, ['a=1']);
  assert.deepEqual(await second, { kind: 'superseded' });
  pending[0]?.resolve();
  assert.deepEqual(await first, { kind: 'written', result: 'done 1' });
  await Promise.resolve();
  assert.deepEqual(written, ['a=1', 'a=3']);
  pending[1]?.resolve();
  assert.deepEqual(await third, { kind: 'written', result: 'done 3' });
  assert.equal(writer.size, 0);
});

test('no more than the bound are under way; the others take turns', async () => {
  const { writer, written, pending } = aWriter(2);
  const all = ['a', 'b', 'c', 'd'].map((key) => writer.put(key, '1'));
  assert.deepEqual(written, ['a=1', 'b=1']);
  pending[1]?.resolve();
  await all[1];
  await Promise.resolve();
  assert.deepEqual(written, ['a=1', 'b=1', 'c=1']);
  for (const turn of pending) turn.resolve();
  await all[0];
  await Promise.resolve();
  for (const turn of pending) turn.resolve();
  await all[2];
  for (const turn of pending) turn.resolve();
  await Promise.all(all);
  assert.equal(written.length, 4);
});

test('a write that fails tells its caller and frees its key', async () => {
  let tries = 0;
  const writer = new LatestWriter<string, number>(1, async () => {
    if (tries++ === 0) throw new Error('refused');
    return tries;
  });
  await assert.rejects(writer.put('a', '1'), /refused/);
  assert.deepEqual(await writer.put('a', '2'), { kind: 'written', result: 2 });
});
