import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cache, CacheEvent, KubernetesObject } from '@cloudlet/runtime/kubernetes';
import { createFreshest } from './freshest.ts';

const version = (resourceVersion: string): KubernetesObject => ({
  metadata: { name: 'a', resourceVersion },
});

/** A cache that has what the watch brought. */
function watched() {
  let cached: KubernetesObject | undefined;
  let handle: (event: CacheEvent<KubernetesObject>) => void = () => undefined;
  const cache: Cache<KubernetesObject> = {
    ...{ get: () => cached, list: () => [], byIndex: () => [], size: 0 },
  };
  const freshest = createFreshest({
    cache,
    subscribe(handler) {
      handle = handler;
      return { unsubscribe: () => undefined };
    },
  });
  const bring = (object: KubernetesObject): void => {
    cached = object;
    handle({ type: 'Added', object, initial: false });
  };
  return { freshest, bring };
}

const versionIn = (object: KubernetesObject | undefined) => object?.metadata.resourceVersion;

test('what was written stands until the watch has brought it or something newer', async () => {
  const { freshest, bring } = watched();
  bring(version('8'));
  freshest.wrote(version('10'));
  assert.equal(versionIn(freshest.get('a')), '10');
  let isSeen = false;
  const seen = freshest.seen('a').then(() => void (isSeen = true));
  bring(version('9'));
  await Promise.resolve();
  assert.deepEqual([isSeen, versionIn(freshest.get('a'))], [false, '10']);
  bring(version('11'));
  await seen;
  assert.equal(versionIn(freshest.get('a')), '11');
});

test('the answer to a read that a write overtook does not bring the past back', async () => {
  const { freshest, bring } = watched();
  bring(version('8'));
  freshest.wrote(version('12'));
  freshest.wrote(version('10'));
  assert.equal(versionIn(freshest.get('a')), '12');
});
