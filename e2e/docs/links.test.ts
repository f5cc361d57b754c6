/** Every link of a document leads somewhere: to a file of the repository, and to a heading in it. */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type Document, type Mention, parseDocument, readDocuments } from './markdown.ts';
import { isInTree } from './tree.ts';

const documents = readDocuments();

/** What is wrong with a link; undefined where it leads somewhere, or to another host. */
function mistakeIn(link: Mention, all: readonly Document[]): string | undefined {
  if (/^[a-z]+:/.test(link.text)) return undefined;
  const [target = '', anchor] = link.text.split('#');
  const path = target === '' ? link.file : join(dirname(link.file), decodeURI(target));
  const where = `${link.file}:${link.line}: ${link.text}`;
  if (!isInTree(path)) return `${where}: there is no ${path}`;
  if (anchor === undefined) return undefined;
  const document = all.find((each) => each.path === path);
  if (document?.anchors.has(anchor)) return undefined;
  return `${where}: ${path} has no heading of that name`;
}

test('every link of every document leads to a file, and to a heading in it', () => {
  const links = documents.flatMap((document) => document.links);
  assert.ok(documents.length > 15 && links.length > 30, 'the documents were not found');
  assert.deepEqual(
    links.map((link) => mistakeIn(link, documents)).filter((mistake) => mistake !== undefined),
    [],
  );
});

test('a link into nowhere is found', () => {
  const page =
    '# A\n[a](#a) [b](#b) [c](no.md) [d](README.md#try-it) [e](https://x.example/#y) [f](node_modules)';
  const document = parseDocument('page.md', page);
  const all = [...documents, document];
  // The page itself is on no disk: what leads into it is looked for in its text alone.
  const within = document.links.filter(({ text }) => !text.startsWith('#'));
  assert.deepEqual(
    within.map((link) => mistakeIn(link, all)),
    [
      ...['page.md:2: no.md: there is no no.md', undefined, undefined],
      'page.md:2: node_modules: there is no node_modules',
    ],
  );
  const readme = { file: 'README.md', line: 1, text: '#no-such-heading' };
  assert.match(mistakeIn(readme, all) ?? '', /README\.md has no heading of that name/);
});
