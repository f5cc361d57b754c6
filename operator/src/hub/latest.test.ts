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
  const first = writer.put('site', 'a', '1');
  const second = writer.put('site', 'a', '2');
  const third = writer.put('site', 'a', '3');
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
  const all = ['a', 'b', 'c', 'd'].map((key) => writer.put('site', key, '1'));
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
  await assert.rejects(writer.put('site', 'a', '1'), /refused/);
  assert.deepEqual(await writer.put('site', 'a', '2'), { kind: 'written', result: 2 });
});

test('a group that floods waits for its turn, and another waits for one write of it', async () => {
  const { writer, written, pending } = aWriter(1);
  for (let key = 0; key < 100; key++) void writer.put('flood', `f${key}`, '1');
  void writer.put('quiet', 'q', '1');
  void writer.put('other', 'o', '1');
  assert.deepEqual(written, ['f0=1']);
  for (let turn = 0; turn < 5; turn++) {
    pending[turn]?.resolve();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(written, ['f0=1', 'f1=1', 'q=1', 'o=1', 'f2=1', 'f3=1']);
  assert.equal(writer.size, 97);
});
