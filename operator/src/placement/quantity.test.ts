import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TerminalError } from '@cloudlet/runtime/base';
import { formatBytes, parseQuantity, resourcesOf, timesReplicas } from './quantity.ts';

for (const [text, scale, value] of [
  ['500m', 1000, 500],
  ['0.1', 1000, 100],
  ['1.5', 1000, 1500],
  ['2', 1000, 2000],
  ['1m', 1, 1],
  ['256Mi', 1, 268_435_456],
  ['1G', 1, 1_000_000_000],
  ['1.5Ki', 1, 1536],
] as const)
  test(`${text} times ${scale} is ${value}`, () => assert.equal(parseQuantity(text, scale), value));

for (const text of ['', '-1', '1e3', '1 Mi', 'Mi'])
  test(`'${text}' is no quantity`, () => assert.throws(() => parseQuantity(text), TerminalError));

test('a Flavor without a disk asks for none', () => {
  assert.deepEqual(resourcesOf({ vcpus: '250m', memory: '1Ki' }), {
    cpuMillis: 250,
    memoryBytes: 1024,
  });
});

test('replicas multiply what is asked for, and nothing else', () => {
  assert.deepEqual(timesReplicas({ cpuMillis: 250 }, 3), { cpuMillis: 750 });
});

test('bytes are told in the largest unit', () => {
  assert.deepEqual([0, 1023, 1024, 1.5 * 2 ** 30].map(formatBytes), ['0', '1023', '1Ki', '1.5Gi']);
});
