import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { UnreachableError } from './errors.ts';
import { type LogLevel, Secret, createLogger } from './logger.ts';

function capture(level?: LogLevel) {
  const lines: string[] = [];
  const options = { write: (line: string) => void lines.push(line), now: () => 0 };
  return { lines, logger: createLogger({ ...options, ...(level && { level }) }) };
}

test('a line is one JSON object with time, level and message first', () => {
  const { lines, logger } = capture();
  logger.with({ controller: 'appinst' }).info('placed', { site: 'a' });
  assert.deepEqual(lines, [
    '{"time":"1970-01-01T00:00:00.000Z","level":"info","message":"placed","controller":"appinst","site":"a"}',
  ]);
});

test('lines below the level are not written', () => {
  const { lines, logger } = capture('warn');
  logger.debug('a');
  logger.info('b');
  logger.warn('c');
  logger.error('d');
  assert.equal(lines.length, 2);
});

test('a secret never shows its value, however it is printed', () => {
  const secret = new Secret('hunter2');
  const { lines, logger } = capture('debug');
  logger.info('login', { secret, nested: { list: [secret] } });
  const shown = [
    ...lines,
    String(secret),
    `${secret.toString()}`,
    inspect({ secret }, { depth: 5 }),
    JSON.stringify([secret]),
  ];
  for (const text of shown) {
    assert.ok(!text.includes('hunter2'), text);
    assert.ok(text.includes('***'), text);
  }
  assert.equal(secret.reveal(), 'hunter2');
});

test('an error prints its causes, and its stack at debug only', () => {
  const error = new UnreachableError('get node', { cause: new Error('refused') });
  const quiet = capture();
  quiet.logger.error('failed', { error });
  assert.equal((JSON.parse(quiet.lines[0] ?? '') as { error: string }).error, 'get node: refused');
  const loud = capture('debug');
  loud.logger.error('failed', { error });
  const shown = (JSON.parse(loud.lines[0] ?? '') as { error: { error: string; stack: string } })
    .error;
  assert.equal(shown.error, 'get node: refused');
  assert.match(shown.stack, /logger\.test/);
});

test('a bigint does not break a line', () => {
  const { lines, logger } = capture();
  logger.info('size', { bytes: 5n });
  assert.match(lines[0] ?? '', /"bytes":"5"/);
});
