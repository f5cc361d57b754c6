/** Documents that name code, tests or numbers: what they name is there. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repositoryRoot } from '../../testbed/index.ts';

const read = (path: string): string => readFileSync(join(repositoryRoot, path), 'utf8');
const flat = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** The cells of every row of every table. */
const rowsOf = (document: string): readonly (readonly string[])[] =>
  read(document)
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[-| ]+\|$/.test(line))
    .map((line) => line.split('|').slice(1, -1))
    .map((cells) => cells.map((cell) => cell.trim()));

const coded = (cell = ''): readonly string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code ?? '');

test('every bound in docs/limits.md stands in the code as it says', () => {
  const rows = rowsOf('docs/limits.md').filter(([what]) => what !== 'what');
  assert.ok(rows.length > 50);
  for (const [what, , code] of rows) {
    const [file = '', text = ''] = coded(code);
    assert.ok(text !== '' && flat(read(file)).includes(flat(text)), `${what}: ${file}: ${text}`);
  }
});

test('every metric that docs/limits.md names exists', () => {
  const files = globSync('{runtime,operator,agent,tunnel}/src/**/*.ts', { cwd: repositoryRoot });
  const sources = files.filter((file) => !file.endsWith('.test.ts')).map(read);
  const names = new Set(rowsOf('docs/limits.md').flatMap((cells) => coded(cells[3])));
  assert.ok(names.size > 10);
  for (const name of names)
    assert.ok(
      sources.some((source) => source.includes(`'${name}'`)),
      name,
    );
});

test('every test that docs/threat-model.md names exists under that title', () => {
  const rows = rowsOf('docs/threat-model.md').filter((cells) => cells.length === 3);
  let named = 0;
  for (const [claim, , tests] of rows) {
    if (claim === 'claim') continue;
    const names = coded(tests);
    assert.ok(names.length > 1, `${claim} names no test`);
    let [file, source] = ['', ''];
    for (const title of names) {
      if (title.endsWith('.test.ts')) {
        [file, source] = [title, read(title)];
        continue;
      }
      named++;
      assert.ok(
        source.replaceAll("\\'", "'").includes(title),
        `${claim}: ${file} has no test '${title}'`,
      );
    }
  }
  assert.ok(named > 30);
});
