import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TooManyRequestsError } from '@cloudlet/runtime/base';
import { Turns } from './turns.ts';

const never = new AbortController().signal;

/** Work that says that it began, and ends when it is told to. */
function scripted(turns: Turns, began: string[]) {
  return (name: string, signal = never) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const done = turns.take(() => {
      began.push(name);
      return promise;
    }, signal);
    return { done, end: () => resolve(name), fail: () => reject(new Error(name)) };
  };
}

const setup = () => {
  const began: string[] = [];
  const turns = new Turns({ atOnce: 2, waiting: 2, retryAfterMs: 5_000 });
  return { began, start: scripted(turns, began), turn: () => new Promise<void>(setImmediate) };
};

test('so many run at once, the others in the order in which they came', async () => {
  const { began, start, turn } = setup();
  const [a, b, c, d] = [start('a'), start('b'), start('c'), start('d')];
  await turn();
  assert.deepEqual(began, ['a', 'b']);
  b.end();
  assert.equal(await b.done, 'b');
  await turn();
  assert.deepEqual(began, ['a', 'b', 'c']);
  for (const each of [a, c, d]) each.end();
  assert.deepEqual(await Promise.all([a.done, c.done, d.done]), ['a', 'c', 'd']);
});

test('who finds as many waiting as may wait is sent away, and told when to come again', async () => {
  const { start } = setup();
  const all = ['a', 'b', 'c', 'd'].map((name) => start(name));
  await assert.rejects(start('e').done, (error) => {
    assert.ok(error instanceof TooManyRequestsError);
    assert.equal(error.retryAfterMs, 5_000);
    return true;
  });
  for (const each of all) each.end();
  await Promise.all(all.map(({ done }) => done));
});

test('work that fails frees its place, and who went away leaves the row', async () => {
  const { began, start, turn } = setup();
  const [a, b] = [start('a'), start('b')];
  const away = new AbortController();
  const c = start('c', away.signal);
  const d = start('d');
  away.abort(new Error('went away'));
  await assert.rejects(c.done, /went away/);
  a.fail();
  await assert.rejects(a.done, /a/);
  await turn();
  assert.deepEqual(began, ['a', 'b', 'd']);
  const e = start('e'); // the place in the row is free again
  for (const each of [b, d, e]) each.end();
  assert.deepEqual(await Promise.all([b.done, d.done, e.done]), ['b', 'd', 'e']);
});
