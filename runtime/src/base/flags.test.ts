import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TerminalError } from './errors.ts';
import { type FlagTable, helpOf, parseFlags } from './flags.ts';

const table = {
  name: { type: 'string', description: 'A name.', required: true },
  port: { type: 'number', description: 'A port.', default: 443 },
  level: { type: 'string', description: 'A level.', oneOf: ['info', 'debug'] },
  dry: { type: 'boolean', description: 'Do nothing.' },
  label: { type: 'list', description: 'A label.' },
} as const satisfies FlagTable;

test('flags come typed, with their defaults, frozen', () => {
  const { flags, positionals } = parseFlags(table, [
    'run',
    '--name',
    'a',
    '--label=x',
    '--label=y',
  ]);
  const port: number = flags.port; // the type follows from the table
  const level: 'info' | 'debug' | undefined = flags.level;
  assert.deepEqual(flags, { name: 'a', port, level, dry: false, label: ['x', 'y'] });
  assert.equal(port, 443);
  assert.equal(level, undefined);
  assert.deepEqual(positionals, ['run']);
  assert.ok(Object.isFrozen(flags));
});

test('numbers are parsed', () => {
  assert.equal(parseFlags(table, ['--name=a', '--port', '8443']).flags.port, 8443);
});

const mistakes: readonly (readonly [string[], RegExp])[] = [
  [[], /--name is required: A name\./],
  [['--name=a', '--port=many'], /--port wants a number, not 'many'/],
  [['--name=a', '--level=loud'], /--level wants one of info, debug, not 'loud'/],
  [['--name=a', '--nmae=b'], /--nmae/],
];

for (const [argv, expected] of mistakes) {
  test(`'${argv.join(' ')}' is refused with a sentence`, () => {
    assert.throws(
      () => parseFlags(table, argv),
      (error) => {
        assert.ok(error instanceof TerminalError);
        assert.equal(error.reason, 'InvalidFlags');
        assert.match(error.message, expected);
        return true;
      },
    );
  });
}

test('all mistakes are told at once', () => {
  assert.throws(
    () => parseFlags(table, ['--port=x']),
    /--name is required.*; --port wants a number/,
  );
});

test('the help names each flag, its values and its default', () => {
  const help = helpOf('tool [flags]', 'A tool.', table);
  assert.match(help, /^A tool\.\n\nUsage: tool \[flags\]/);
  assert.match(help, /--name string +A name\. Required\./);
  assert.match(help, /--port number +A port\..*443/);
  assert.match(help, /--level info\|debug/);
  assert.match(help, /--dry +Do nothing\./);
});
