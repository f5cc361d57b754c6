import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from './clock.ts';
import { limitedLogger } from './log-limit.ts';
import { createLogger, longestText } from './logger.ts';

test('a flood of lines is cut, and the next line says how many were left out', async () => {
  const clock = new FakeClock();
  const lines: { message: string; site?: string; leftOut?: number }[] = [];
  const logger = limitedLogger(
    createLogger({ write: (line) => void lines.push(JSON.parse(line) as { message: string }) }),
    clock,
    { lines: 3, perMs: 60_000 },
  );
  const derived = logger.with({ site: 'north' });
  for (let turn = 0; turn < 50; turn++) (turn % 2 ? logger : derived).warn(`turn ${turn}`);
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['turn 0', 'turn 1', 'turn 2'],
  );
  await clock.advance(60_000);
  derived.info('later');
  logger.info('again');
  assert.deepEqual(lines.slice(3), [
    { ...lines[3], message: 'later', site: 'north', leftOut: 47 },
    { ...lines[4], message: 'again' },
  ]);
  assert.equal(lines[4]?.leftOut, undefined);
});

test('a text of any length makes a line of bounded length', () => {
  let written = '';
  createLogger({ write: (line) => void (written = line) }).warn('x'.repeat(1e6), {
    error: new Error('y'.repeat(1e6)),
    list: ['z'.repeat(1e6)],
  });
  assert.ok(written.length < longestText * 4, String(written.length));
  assert.match(written, /… 995904 more/);
});
