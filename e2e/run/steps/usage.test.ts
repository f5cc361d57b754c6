import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calledWith, type Usage } from './usage.ts';

const flags = {
  url: { type: 'string', required: true, description: 'Where.' },
  seed: { type: 'number', default: 1, description: 'What is drawn.' },
} as const;
const usage: Usage<typeof flags> = { call: 'npm run x -- [flags]', summary: 'Does x.', flags };

function ask(argv: readonly string[], more: Partial<Usage<typeof flags>> = {}) {
  let said = '';
  const answer = calledWith({ ...usage, ...more }, argv, (text) => (said += text));
  return { answer, said };
}

test('a command gets its flags with their defaults', () => {
  const { answer, said } = ask(['--url', 'u']);
  assert.ok(typeof answer !== 'number');
  assert.deepEqual([answer.flags.url, answer.flags.seed, answer.words, said], ['u', 1, [], '']);
});

test('who asks for help gets it without what is required, and starts nothing', () => {
  const { answer, said } = ask(['--help']);
  assert.equal(answer, 0);
  assert.match(said, /^Does x\.\n\nUsage: npm run x -- \[flags\]/);
  assert.match(said, /--url string +Where\. Required\.\n.*--seed .*\n +--help +Print this text/);
});

for (const [argv, mistake] of [
  [[], /--url is required/],
  [['--url', 'u', '--sede', '2'], /sede/],
  [['--url', 'u', '--seed', 'x'], /--seed wants a number/],
  [['--sede', '2', '--help'], /sede/],
  [['--url', 'u', '500'], /'500' means nothing here/],
] as const)
  test(`'${argv.join(' ')}' is refused before anything starts`, () => {
    const { answer, said } = ask(argv);
    assert.equal(answer, 1);
    assert.match(said, mistake);
    assert.doesNotMatch(said, /Usage/);
  });

test('words go to a command that takes them', () => {
  const { answer } = ask(['--url', 'u', 'tunnel', 'agent'], { takesWords: true });
  assert.ok(typeof answer !== 'number');
  assert.deepEqual(answer.words, ['tunnel', 'agent']);
});
