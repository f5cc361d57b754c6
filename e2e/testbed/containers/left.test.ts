import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clearLeftContainers, testLabel } from './left.ts';

/** An engine with these containers, by their labels. */
function anEngine(containers: Map<string, string>) {
  return {
    async docker(args: readonly string[]) {
      const [verb, ...rest] = args;
      if (verb === 'rm') {
        for (const id of rest.filter((word) => !word.startsWith('--'))) containers.delete(id);
        return '';
      }
      const label = rest.at(-1)?.replace(/^label=/, '');
      const found = [...containers].filter(([, value]) => value === label);
      return found.map(([id]) => `${id}\n`).join('');
    },
  };
}

test('what a killed run left goes, and what is somebody else’s stays', async () => {
  const [ours = ''] = Object.entries(testLabel).map((pair) => pair.join('='));
  const containers = new Map([
    ['a', ours],
    ['b', 'org.testcontainers=true'],
    ['c', ours],
  ]);
  assert.equal(await clearLeftContainers(anEngine(containers)), 2);
  assert.deepEqual([...containers.keys()], ['b']);
  assert.equal(await clearLeftContainers(anEngine(containers)), 0);
});
