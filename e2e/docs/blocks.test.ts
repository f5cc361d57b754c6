/**
 * Every block of every document is looked at: commands are looked up, TypeScript is compiled, JSON and YAML are
 * parsed. What wants an API server or a site is run in e2e/scenarios/docs.test.ts.
 */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { describeError } from '@cloudlet/runtime/base';
import { shapeMistake, treatmentOf } from './blocks.ts';
import { type Block, type Document, parseDocument, readDocuments } from './markdown.ts';
import { repositoryRoot } from '../testbed/index.ts';
import { isKnown, isPath, mistakesOf, placeOf, tellsFlags } from './programs.ts';
import { pipelinesOf } from './shell.ts';
import { compilerMistakes } from './types.ts';
import { filesOf } from './files.ts';

const documents = readDocuments();
const blocks = documents.flatMap((page) => page.blocks.map((block) => ({ page, block })));
const at = ({ file, line }: Pick<Block, 'file' | 'line'>, more = 0): string =>
  `${file}:${line + more}`;

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

for (const { page, block } of blocks.filter(({ block: { language } }) => language === 'sh'))
  test(`${at(block)}: every command is right`, async () => {
    await using files = await filesOf(page);
    const given = new Map(files.paths);
    const mistakes: string[] = [];
    for (const { line, commands, writes } of pipelinesOf(block.text)) {
      for (const { words } of commands)
        for (const mistake of await mistakesOf({ words, file: page.path, given }))
          mistakes.push(`${at(block, line)}: ${words.join(' ')}: ${mistake}`);
      for (const name of writes) given.set(name, name);
    }
    assert.deepEqual(mistakes, []);
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

test('every command and every path that the prose names is right', async () => {
  const mistakes: string[] = [];
  const seen = new Map<string, Promise<readonly string[]>>();
  for (const span of documents.flatMap((document) => document.spans)) {
    const { text, file } = span;
    const [program = '', ...rest] = text.split(' ');
    if (isPath(text, file) && placeOf(text, file) === undefined)
      mistakes.push(`${at(span)}: there is no ${text}`);
    if (rest.length === 0 || !isKnown(program)) continue;
    const found = seen.get(text) ?? commandMistakes(text, file);
    seen.set(text, found);
    for (const mistake of await found) mistakes.push(`${at(span)}: ${text}: ${mistake}`);
  }
  assert.ok(seen.size > 50, 'the prose names commands');
  assert.deepEqual(mistakes, []);
});

async function commandMistakes(text: string, file: string): Promise<readonly string[]> {
  const commands = pipelinesOf(text).flatMap((pipeline) => pipeline.commands);
  const found = commands.map(({ words }) => mistakesOf({ words, file }));
  return (await Promise.all(found)).flat();
}

test('every command of npm run but test tells its flags', () => {
  const commands = globSync('e2e/run/*.ts', { cwd: repositoryRoot }).map((file) =>
    basename(file, '.ts'),
  );
  const silent = commands.filter((command) => !tellsFlags(command));
  assert.deepEqual(silent, ['test']);
});

const wrong: readonly (readonly [string, RegExp])[] = [
  ['npm run no-such', /no script 'no-such'/],
  ['npm start --once', /put -- before it/],
  ['npm start -- --onse', /onse/],
  ['npm run faults -- --seed x', /--seed wants a number/],
  ['npm test -- no/such/test', /no test has 'no\/such\/test'/],
  ['npm run lint -- x', /takes no arguments/],
  ['kubectl get pods --wild', /unknown flag: --wild/],
  ['kubectl gets pods', /unknown command "gets"/],
  ['kubectl apply -f crds/nothing.yaml', /there is no crds\/nothing\.yaml/],
  ['kubectl apply -f examples/gitops/base', /holds nothing for -f/],
  ['kubectl cloudlet gets', /no command 'gets'/],
  ['kubectl cloudlet audit --since 24h', /--file is required/],
  ['kubectl cloudlet events --watching', /watching/],
  ['cloudlet-agent --join x', /join/],
  ['cloudlet-agent doctor --join-fil x', /join-fil/],
  ['helm install a charts/cloudlet-agent --creat-namespace', /unknown flag/],
  ['helm install a charts/cloudlet-operator --set hub.hots=a', /hots/],
  ['kind create cluster --config kind-config.yml', /no block of the page .* kind-config\.yml/],
  ['kind create cluster --config e2e/kind/config.yaml', /there is no e2e\/kind\/config\.yaml/],
  ['tar -xzf x -C /opt/cloudlet-agent/units', /there is no \/opt\/cloudlet-agent\/units/],
  ['curl x', /nobody says what to do with 'curl'/],
];
for (const [text, message] of wrong)
  test(`'${text}' is found wrong`, async () => {
    assert.match((await commandMistakes(text, 'README.md')).join('\n'), message);
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
