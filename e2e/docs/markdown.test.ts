import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDocument } from './markdown.ts';

const page = `# The page

See [that](other.md#the-end) and \`npm test\`, not \`[this](no.md)\`.

\`\`\`sh
# no heading, [no link](at-all.md)
true
\`\`\`

- an item

  ~~~yaml file=a.yaml plain
    a: 1
  ~~~

## A \`code\` and [link](x.md): yes_no

## Twice
## Twice
`;

test('blocks have their language, settings, line and text', () => {
  const { blocks } = parseDocument('a.md', page);
  assert.deepEqual(
    blocks.map(({ line, language, settings, text }) => ({ line, language, settings, text })),
    [
      {
        ...{ line: 5, language: 'sh', settings: {} },
        text: '# no heading, [no link](at-all.md)\ntrue',
      },
      {
        ...{ line: 12, language: 'yaml', settings: { file: 'a.yaml', plain: '' } },
        text: '  a: 1',
      },
    ],
  );
});

test('a block that is indented alone is found, and has no language', () => {
  const { blocks } = parseDocument('a.md', 'Do so:\n\n    rm -rf /\n\n    now\n\nThen go.');
  assert.deepEqual(blocks, [
    { file: 'a.md', line: 3, language: '', settings: {}, text: 'rm -rf /\n\nnow\n' },
  ]);
});

test('what belongs to an item of a list is no block', () => {
  const { blocks } = parseDocument('a.md', '- an item\n\n    more of it\n');
  assert.deepEqual(blocks, []);
});

test('a fence without an end takes the rest', () => {
  const { blocks } = parseDocument('a.md', '```ts\nconst a = 1;');
  assert.deepEqual([blocks.length, blocks[0]?.text], [1, 'const a = 1;']);
});

test('links and spans are those of the prose', () => {
  const { links, spans } = parseDocument('a.md', page);
  assert.deepEqual(
    links.map(({ line, text }) => [line, text]),
    [
      [3, 'other.md#the-end'],
      [16, 'x.md'],
    ],
  );
  assert.deepEqual(
    spans.map(({ text }) => text),
    ['npm test', '[this](no.md)', 'code'],
  );
});

test('headings are reached under the names that repositories give them', () => {
  const { anchors } = parseDocument('a.md', page);
  assert.deepEqual([...anchors], ['the-page', 'a-code-and-link-yes_no', 'twice', 'twice-1']);
});
