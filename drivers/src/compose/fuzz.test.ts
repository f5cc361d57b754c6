/**
 * Whatever text is given: a plan or a ComposeError, soon. The texts are mutations of the corpus from a fixed
 * seed, and the known ways to make a parser run away. `COMPOSE_FUZZ_ROUNDS` and `COMPOSE_FUZZ_SEED` widen it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { canonicalJson } from '@cloudlet/runtime/base';
import { ComposeError, convertCompose, sameService } from './index.ts';
import { corpus, corpusEnv, corpusFiles } from './testdata/corpus.ts';

const rounds = Number(process.env['COMPOSE_FUZZ_ROUNDS'] ?? 500);
const seed = Number(process.env['COMPOSE_FUZZ_SEED'] ?? 1);
const files = corpusFiles();

/** Converts; whatever is thrown must be a ComposeError that fits a condition. */
function outcome(text: string): 'plan' | 'refused' {
  try {
    const plan = convertCompose({ text, stack: 'fuzz', env: corpusEnv, files, ipvs: false });
    for (const { spec } of plan.services)
      assert.ok(sameService(spec, JSON.parse(canonicalJson(spec))), 'a plan is the same as itself');
    return 'plan';
  } catch (error) {
    assert.ok(error instanceof ComposeError, `not a ComposeError: ${String(error)}`);
    assert.ok(error.mistakes.length > 0 && error.message.length < 32_768);
    return 'refused';
  }
}

/** Numbers from 0 to 1, the same for the same seed. */
function randomFrom(state: number): () => number {
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const pieces = [
  ...[
    '[',
    ']',
    '{',
    '}',
    ':',
    ' ',
    '\n',
    '- ',
    '"',
    "'",
    '|',
    '>',
    '&a',
    '*a',
    '<<: ',
    '#',
    '!!str',
    '!x',
  ],
  ...[
    'null',
    '~',
    'true',
    '-1',
    '1e999',
    '0x',
    '99999999999999999999',
    '.inf',
    '.nan',
    '2026-01-01',
  ],
  ...[
    '${',
    '}',
    '$$',
    '${A:-',
    '__proto__',
    'constructor',
    'toString',
    '\u0000',
    '\ufeff',
    '\t',
    '\u2028',
  ],
  ...['services:', 'x-a:', '%YAML 1.1\n', '---\n', '...\n', '? ', 'é', '🙂', '9'.repeat(400)],
];

function mutate(text: string, random: () => number): string {
  const at = Math.floor(random() * text.length);
  const length = Math.floor(random() ** 3 * 40);
  const piece = pieces[Math.floor(random() * pieces.length)] ?? '';
  switch (Math.floor(random() * 5)) {
    case 0:
      return text.slice(0, at) + piece + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at) + piece + text.slice(at + length);
    case 3: {
      const from = Math.floor(random() * text.length);
      return text.slice(0, at) + text.slice(from, from + length) + text.slice(at);
    }
    default: {
      const lines = text.split('\n');
      const [line = ''] = lines.splice(Math.floor(random() * lines.length), 1);
      lines.splice(Math.floor(random() * lines.length), 0, line, ...(random() < 0.3 ? [line] : []));
      return lines.join('\n');
    }
  }
}

test(`${rounds} mutations of the corpus give a plan or a ComposeError`, () => {
  const random = randomFrom(seed);
  const texts = corpus('corpus').map((file) => file.text);
  const counts = { plan: 0, refused: 0 };
  for (let round = 0; round < rounds; round += 1) {
    let text = texts[Math.floor(random() * texts.length)] ?? '';
    const changes = 1 + Math.floor(random() * 4);
    for (let change = 0; change < changes; change += 1) text = mutate(text, random);
    counts[outcome(text)] += 1;
  }
  assert.ok(counts.plan > rounds / 20 && counts.refused > rounds / 20, JSON.stringify(counts));
});

describe('texts that are made to run away are refused', () => {
  const aliases = (levels: number) =>
    ['x-0: &a0 [x, x, x, x, x, x, x, x, x]']
      .concat(
        Array.from(
          { length: levels },
          (_, level) => `x-${level + 1}: &a${level + 1} [${`*a${level},`.repeat(9)}]`,
        ),
      )
      .join('\n');
  const merges = Array.from(
    { length: 200 },
    (_, level) =>
      `x-${level}: &m${level}\n  <<: [${level === 0 ? '{a: 1}' : `*m${level - 1}, *m${level - 1}`}]\n  k${level}: 1`,
  ).join('\n');
  const cases: Readonly<Record<string, string>> = {
    'aliases of aliases': `${aliases(40)}\nservices: {a: {image: a}}`,
    'many aliases of one list': `x-a: &a [${'x,'.repeat(500)}]\nx-b: [${'*a,'.repeat(60_000)}]`,
    'merges of merges': `${merges}\nservices: {a: {image: a, nosuch: 1}}`,
    'an alias of itself': 'services: &a {a: *a}',
    'deep lists': `services: ${'['.repeat(100_000)}`,
    'deep mappings': `services: ${'{a: '.repeat(60_000)}`,
    'deep dashes': `services: ${'- '.repeat(100_000)}`,
    'deep question marks': '? '.repeat(100_000),
    'deep indentation': Array.from({ length: 700 }, (_, depth) => `${' '.repeat(depth)}a:`).join(
      '\n',
    ),
    'deep but short': `services: ${'{a: '.repeat(60)}${'}'.repeat(60)}`,
    'too long': `# ${'x'.repeat(300_000)}`,
    'no end of quotes': `services: "${'\\\n'.repeat(100_000)}`,
    'only anchors': '&a '.repeat(80_000),
    'only tags': '!a '.repeat(80_000),
    'only colons': ': '.repeat(80_000),
    'only commas': `[${','.repeat(200_000)}`,
    'only braces': '{}'.repeat(100_000),
    'many keys': Array.from({ length: 40_000 }, (_, n) => `k${n}:`).join('\n'),
    'many dollars': `services: {a: {image: "${'$'.repeat(200_001)}"}}`,
    'a huge range': 'services: {a: {image: a, ports: ["1-65535:1-65535"]}}',
    'many huge ranges': `services: {a: {image: a, ports: [${'"1-65535",'.repeat(3000)}]}}`,
    'huge numbers': `services: {a: {image: a, deploy: {replicas: ${'9'.repeat(1000)}}}}`,
    'many quotes in a command': `services: {a: {image: a, command: '${'\\\\'.repeat(100_000)}"'}}`,
    'a long image': `services: {a: {image: ${'a/'.repeat(100_000)}}}`,
    'a long duration': `services: {a: {image: a, stop_grace_period: "${'1h'.repeat(100_000)}"}}`,
    'a long port': `services: {a: {image: a, ports: ["${'1:'.repeat(100_000)}"]}}`,
    'a long constraint': `services: {a: {image: a, deploy: {placement: {constraints: ["${'a'.repeat(200_000)}"]}}}}`,
    'a prototype': 'services: {a: {image: a, constructor: 1, __proto__: {image: b}, toString: 2}}',
  };
  for (const [name, text] of Object.entries(cases))
    test(name, { timeout: 10_000 }, () => assert.equal(outcome(text), 'refused'));
});
