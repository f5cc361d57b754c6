/**
 * The documents as a reader follows them: what their blocks call is called, in their order, on a region with a
 * site of phones, and their objects are shown to the API server. What needs nothing of it is tried in
 * docs-commands.test.ts and e2e/docs; what happens to which block stands in CONTRIBUTING.md.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { shapeMistake, treatmentOf } from '../docs/blocks.ts';
import { type Block, type Document, readDocuments } from '../docs/markdown.ts';
import type { Pipeline } from '../docs/shell.ts';
import { phonesUnavailable, until } from '../testbed/index.ts';
import { type DocsWorld, openDocsWorld } from './docs-world.ts';

const skip = phonesUnavailable() ?? false;
let docs: DocsWorld;

before(async () => {
  if (!skip) docs = await openDocsWorld();
});
after(async () => docs?.[Symbol.asyncDispose]());

/** Commands of kubectl that are looked up and not run, each with the reason. */
const notRun: ReadonlyMap<string, string> = new Map([
  ['logs deployment/cloudlet-operator', 'the region runs as processes: there are no pods'],
]);

/** Exit codes that say something of the region, not that the command failed. */
const meaningful = /^kubectl cloudlet doctor\b/;
const goesOn = /^kubectl cloudlet (logs|events)\b.* -(f|w)\b/;

/** The README first: the other pages take what it brought for granted. */
const pages = readDocuments().toSorted(
  (a, b) => Number(b.path === 'README.md') - Number(a.path === 'README.md'),
);

for (const page of pages) {
  let printed = '';
  for (const block of page.blocks) {
    const treatment = treatmentOf(block, page);
    const at = `${block.file}:${block.line}`;
    switch (treatment.kind) {
      case 'Commands':
        if (treatment.pipelines.some(isRun))
          test(`${at}: its commands do what they say`, { skip }, async () => {
            printed = await runAll(page, block, treatment.pipelines);
          });
        break;
      case 'Objects':
        test(`${at}: the API server takes its objects`, { skip }, () => taken(block));
        break;
      case 'Output':
        test(`${at}: that is what the commands before it print`, { skip }, () => {
          assert.equal(shapeMistake(block.text, printed), undefined);
        });
        break;
      case 'HealthChecks':
        test(`${at}: its expressions say what the page says`, { skip }, () => judged(block, page));
        break;
      case 'File': // by the commands that read it
      case 'Json':
      case 'TypeScript':
      case 'Picture':
    }
  }
}

test('what is not run is still in a document', () => {
  const sources = pages.flatMap(({ blocks }) => blocks.map(({ text }) => text));
  for (const what of notRun.keys())
    assert.ok(
      sources.some((text) => text.includes(what)),
      what,
    );
});

function isRun({ commands, source }: Pipeline): boolean {
  const [first] = commands;
  return first?.words[0] === 'kubectl' && ![...notRun.keys()].some((what) => source.includes(what));
}

/** @returns what all of them printed. */
async function runAll(
  page: Document,
  block: Block,
  pipelines: readonly Pipeline[],
): Promise<string> {
  for (const { settings, text } of page.blocks)
    if (settings['file']) docs.write(settings['file'], text);
  await docs.settled();
  let printed = '';
  for (const { line, source } of pipelines.filter(isRun)) {
    const at = `${block.file}:${block.line + line}: ${source}`;
    if (goesOn.test(source)) {
      await docs.follow(source).catch((cause: unknown) => {
        throw new Error(at, { cause });
      });
      continue;
    }
    const { code, stdout, stderr } = await docs.run(source);
    const isWell = code === 0 || (code === 1 && meaningful.test(source));
    assert.ok(isWell, `${at}: exit ${code}\n${stdout}${stderr}`);
    printed += stdout;
  }
  return printed;
}

async function taken(block: Block): Promise<void> {
  const { kubectl } = docs.world.controlPlane;
  const input = docs.fill(block.text);
  const apply = ['apply', '--dry-run=server', '--validate=strict', '--namespace', 'demo'];
  assert.match(await kubectl([...apply, '-f', '-'], { input }), /server dry run/);
}

interface HealthChecks {
  readonly healthCheckExprs: readonly (Readonly<Record<string, string>> & {
    readonly kind: string;
  })[];
}

const judgements = ['current', 'inProgress', 'failed'] as const;
type Judgement = (typeof judgements)[number];

/** What each expression has to say of an object that is well. */
const wellObjects: Readonly<Record<string, string>> = {
  Zone: 'zone/city',
  AppInst: 'appinst/web-1',
};

/**
 * The API server evaluates the expressions on real objects: an admission policy that warns of each one that is not
 * true. Only `current` may be true of an object that is well.
 */
async function judged(block: Block, page: Document): Promise<void> {
  const { healthCheckExprs } = parse(block.text) as HealthChecks;
  assert.ok(healthCheckExprs.length > 0, page.path);
  await docs.settled();
  for (const check of healthCheckExprs) {
    const object = wellObjects[check.kind];
    assert.ok(object, `${page.path}: name an object of kind ${check.kind} that is well`);
    const expressions = judgements.flatMap((judgement) => {
      const expression = check[judgement];
      return expression === undefined ? [] : [{ judgement, expression }];
    });
    assert.ok(expressions.some(({ judgement }) => judgement === 'current'));
    const untrue = await untrueOf(object, check.kind, expressions);
    assert.deepEqual(
      untrue,
      expressions.map(({ judgement }) => judgement).filter((judgement) => judgement !== 'current'),
      `${page.path}: ${check.kind}`,
    );
  }
}

interface Expression {
  readonly judgement: Judgement;
  readonly expression: string;
}

async function untrueOf(
  object: string,
  kind: string,
  expressions: readonly Expression[],
): Promise<readonly Judgement[]> {
  const { kubectl } = docs.world.controlPlane;
  const name = `docs-${kind.toLowerCase()}`;
  await kubectl(['apply', '--server-side', '-f', '-'], {
    input: policyOf(name, kind, expressions),
  });
  const touch = `kubectl annotate --dry-run=server --namespace demo ${object} docs=test`;
  try {
    const warned = await until('the policy to be in force', 30_000, async () => {
      const { stderr } = await docs.run(touch);
      assert.match(stderr, /says:in-force/);
      return stderr;
    });
    return judgements.filter((judgement) => warned.includes(`says:${judgement}`));
  } finally {
    await kubectl(['delete', 'validatingadmissionpolicy,validatingadmissionpolicybinding', name]);
  }
}

function policyOf(name: string, kind: string, expressions: readonly Expression[]): string {
  const meta = { apiVersion: 'admissionregistration.k8s.io/v1', metadata: { name } };
  const resourceRules = [
    {
      ...{ apiGroups: ['edge.cloudlet.dev'], apiVersions: ['v1alpha1'] },
      ...{ operations: ['UPDATE'], resources: [`${kind.toLowerCase()}s`] },
    },
  ];
  // Flux gives an object's fields as variables.
  const inAdmission = (expression: string): string =>
    expression.replaceAll(/(?<![.\w])(status|metadata|spec)\./g, 'object.$1.');
  const validations = [
    { expression: 'false', message: 'says:in-force' },
    ...expressions.map(({ judgement, expression }) => ({
      ...{ expression: inAdmission(expression), message: `says:${judgement}` },
    })),
  ];
  const items = [
    {
      ...{ ...meta, kind: 'ValidatingAdmissionPolicy' },
      spec: { failurePolicy: 'Ignore', matchConstraints: { resourceRules }, validations },
    },
    {
      ...{ ...meta, kind: 'ValidatingAdmissionPolicyBinding' },
      spec: { policyName: name, validationActions: ['Warn'] },
    },
  ];
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}
