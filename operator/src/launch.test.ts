import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { mallocTunings, nodeFlags } from './launch.ts';

test('the Dockerfile starts Node in the same way', () => {
  const file = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8');
  const text = file.replaceAll(/\\\n\s*/g, '');
  const env = /^ENV (.*)$/m.exec(text)?.[1]?.split(' ');
  const settings = Object.entries(mallocTunings).map(([name, value]) => `${name}=${value}`);
  assert.deepEqual(env, ['NODE_ENV=production', ...settings]);
  const start: unknown = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? '[]');
  assert.deepEqual(start, ['node', ...nodeFlags, '/app/cloudlet.mjs']);
});
