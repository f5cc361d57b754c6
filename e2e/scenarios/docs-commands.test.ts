/**
 * Every command of every document is right, in blocks and in the prose: its program is known, its flags are, what
 * it names is there. By the parsers of the programs themselves, none of which is started but to ask that.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { filesOf } from '../docs/files.ts';
import { readDocuments } from '../docs/markdown.ts';
import { isKnown, isPath, mistakesOf, placeOf } from '../docs/programs.ts';
import { pipelinesOf } from '../docs/shell.ts';
import { ensureControlPlaneBinaries, repositoryRoot } from '../testbed/index.ts';
import { ensureHelm } from '../testbed/helm/helm.ts';

const documents = readDocuments();
const blocks = documents.flatMap((page) => page.blocks.map((block) => ({ page, block })));
const at = ({ file, line }: { readonly file: string; readonly line: number }, more = 0): string =>
  `${file}:${line + more}`;

before(async () => {
  await ensureControlPlaneBinaries(); // of which kubectl is one
  await ensureHelm();
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

test('every command of npm run tells its flags when it is asked, and does nothing', () => {
  const files = globSync('e2e/run/*.ts', { cwd: repositoryRoot });
  const framed = /^await runMain\(usage, async /m;
  const silent = files.filter(
    (file) => !framed.test(readFileSync(join(repositoryRoot, file), 'utf8')),
  );
  assert.deepEqual([files.length > 10, silent], [true, []]);
});

const wrong: readonly (readonly [string, RegExp])[] = [
  ['npm run no-such', /no script 'no-such'/],
  ['npm start --once', /put -- before it/],
  ['npm start -- --onse', /onse/],
  ['npm run faults -- --seed x', /--seed wants a number/],
  ['npm run demo:load -- --url URL --user 3', /--user/],
  ['npm run scale -- 500', /'500' means nothing here/],
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
  ['kind load image-archive dist/images/cloudlet-operator-0.tar', /there is no dist\/images/],
  ['node node_modules/typescript/bin/tsc', /there is no node_modules/],
  ['tar -xzf x -C /opt/cloudlet-agent/units', /there is no \/opt\/cloudlet-agent\/units/],
  ['curl x', /nobody says what to do with 'curl'/],
];
for (const [text, message] of wrong)
  test(`'${text}' is found wrong`, async () => {
    assert.match((await commandMistakes(text, 'README.md')).join('\n'), message);
  });
