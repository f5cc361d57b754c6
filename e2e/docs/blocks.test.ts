/**
 * A rule covers every block of every document; TypeScript is compiled, JSON is parsed. Commands are looked up in
 * e2e/scenarios/docs-commands.test.ts, and run in docs.test.ts there.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeError } from '@cloudlet/runtime/base';
import { shapeMistake, treatmentOf } from './blocks.ts';
import { type Block, type Document, parseDocument, readDocuments } from './markdown.ts';
import { compilerMistakes } from './types.ts';

const documents = readDocuments();
const blocks = documents.flatMap((page) => page.blocks.map((block) => ({ page, block })));
const at = ({ file, line }: Block): string => `${file}:${line}`;

function problemOf(block: Block, page: Document): string | undefined {
  try {
    treatmentOf(block, page);
    return undefined;
  } catch (error) {
    return `${at(block)}: ${describeError(error)}`;
  }
}

test('a rule covers every block of every document', () => {
  assert.ok(blocks.length > 15, 'the documents were not found');
  const problems = blocks.map(({ page, block }) => problemOf(block, page));
  assert.deepEqual(
    problems.filter((problem) => problem !== undefined),
    [],
  );
});

const refused: readonly (readonly [string, RegExp])[] = [
  ['```\nplain\n```', /a\.md:1: .*without a language/],
  ['Do:\n\n    make it', /a\.md:3: .*without a language/],
  ['```python\npass\n```', /nobody looks at 'python'/],
  ['```yaml\na: 1\n```', /no object of ours/],
  ['```yaml\na: [\n```', /a\.md:1/],
  [
    '```yaml file=a.yaml\na: 1\n```\n```sh\nkubectl apply -f b.yaml\n```',
    /no command .* reads a\.yaml/,
  ],
  ['```sh\necho $(date)\n```', /line 1 of the block/],
];
for (const [text, message] of refused)
  test(`${JSON.stringify(text)} is a block without a rule`, () => {
    const page = parseDocument('a.md', text);
    const [block] = page.blocks;
    assert.ok(block);
    assert.match(problemOf(block, page) ?? '', message);
  });

for (const { block } of blocks.filter(({ block: { language } }) => language === 'ts'))
  test(`${at(block)}: the compiler takes it`, () => {
    assert.deepEqual(
      compilerMistakes(block.text).map((mistake) => `${at(block)}: ${mistake}`),
      [],
    );
    assert.match(compilerMistakes('const a: number = "b";').join(), /line 1: Type 'string'/);
  });

for (const { block } of blocks.filter(({ block: { language } }) => language === 'json'))
  test(`${at(block)}: it is JSON`, () => {
    assert.doesNotThrow(() => JSON.parse(block.text));
  });

test('an output that lost a column, a head or a row has not the shape that a page shows', () => {
  const shown = 'NAME     READY   AGE\nphones   True    5m';
  assert.equal(
    shapeMistake(shown, 'NAME      READY     AGE\nphones    False     17s\n'),
    undefined,
  );
  assert.match(shapeMistake(shown, 'NAME     AGE\nphones   5m') ?? '', /NAME {5}READY/);
  assert.match(shapeMistake(shown, 'NAME   READY   AGE\nphones   True') ?? '', /phones/);
  assert.match(shapeMistake(shown, 'NAME   READY   AGE') ?? '', /phones/);
});
