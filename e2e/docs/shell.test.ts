import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pipelinesOf } from './shell.ts';

const words = (text: string): unknown =>
  pipelinesOf(text).map(({ commands }) => commands.map((command) => command.words.join(' ')));

test('lines, && and ; part pipelines, | parts commands', () => {
  assert.deepEqual(words('a 1 && b; c | d -x || e\n\nf'), [
    ['a 1'],
    ['b'],
    ['c', 'd -x'],
    ['e'],
    ['f'],
  ]);
});

test('quotes, escapes and continued lines make one word of each', () => {
  const [pipeline] = pipelinesOf(`a 'b c' "d \\"e" f\\ g 'x={"y":1}'z \\\n  --long`);
  assert.deepEqual(pipeline?.commands[0]?.words, [
    ...['a', 'b c', 'd "e', 'f g', 'x={"y":1}z', '--long'],
  ]);
});

test('comments and redirections are no words, and the source keeps the latter', () => {
  const [first, second] = pipelinesOf('# why\na b#c >out 2>&1 # because\n\nd < in');
  assert.deepEqual(
    [first?.line, first?.source, first?.commands[0]?.words],
    [2, 'a b#c >out 2>&1', ['a', 'b#c']],
  );
  assert.deepEqual([second?.line, second?.source], [4, 'd < in']);
  assert.deepEqual([first?.writes, second?.writes], [['out'], []]);
});

for (const text of ['a $(b)', 'a "$B"', 'a `b`', '(a)', "a 'b", 'a &', 'a $B'])
  test(`${text} is refused`, () => {
    assert.throws(() => pipelinesOf(text), /line 1 of the block/);
  });
