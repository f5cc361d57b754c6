import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isIntentChange, ownersOf } from './mapping.ts';
import { keyOf, resourcePath, splitKey } from './paths.ts';
import { coreTypes } from './core-types.ts';
import type { KubernetesObject } from './types.ts';

const owner = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  name: 'web',
  uid: 'u',
  controller: true,
};

function owned(ownerReference: object): KubernetesObject {
  return {
    metadata: { name: 'a', namespace: 'n', ownerReferences: [{ ...owner, ...ownerReference }] },
  };
}

test('an object leads to the owner of the kind that controls it', () => {
  const owners = ownersOf(coreTypes.deployments);
  assert.deepEqual(owners(owned({})), ['n/web']);
  assert.deepEqual(owners(owned({ apiVersion: 'apps/v2' })), ['n/web']);
  assert.deepEqual(owners(owned({ apiVersion: 'other/v1' })), []);
  assert.deepEqual(owners(owned({ kind: 'ReplicaSet' })), []);
  assert.deepEqual(owners(owned({ controller: false })), []);
  assert.deepEqual(owners({ metadata: { name: 'a' } }), []);
});

test('an owner that is cluster-scoped has no namespace in its key, and the core group has no slash', () => {
  const node = owned({ apiVersion: 'v1', kind: 'Node', name: 'one' });
  assert.deepEqual(ownersOf(coreTypes.nodes)(node), ['one']);
});

test('an update of the status alone is no change of intent', () => {
  const old: KubernetesObject = { metadata: { name: 'a', generation: 1, labels: { x: '1' } } };
  const changed = (metadata: Partial<KubernetesObject['metadata']>) =>
    isIntentChange({
      type: 'Updated',
      initial: false,
      old,
      object: { metadata: { ...old.metadata, ...metadata } },
    });
  assert.equal(changed({ resourceVersion: '9' }), false);
  assert.equal(changed({ generation: 2 }), true);
  assert.equal(changed({ labels: { x: '2' } }), true);
  assert.equal(changed({ annotations: { y: '1' } }), true);
  assert.equal(changed({ finalizers: ['f'] }), true);
  assert.equal(changed({ deletionTimestamp: 'now' }), true);
  assert.equal(isIntentChange({ type: 'Deleted', object: old }), true);
});

test('paths name group, version, namespace, object and subresource', () => {
  const place = { namespace: 'n', name: 'a b/c', subresource: 'status' };
  assert.equal(
    resourcePath(coreTypes.deployments, place, { force: true, limit: undefined }),
    '/apis/apps/v1/namespaces/n/deployments/a%20b%2Fc/status?force=true',
  );
  assert.equal(resourcePath(coreTypes.nodes, { namespace: 'n', name: 'a' }), '/api/v1/nodes/a');
  assert.equal(resourcePath(coreTypes.pods), '/api/v1/pods');
});

test('a key is split into what it was made of', () => {
  assert.deepEqual(splitKey(keyOf({ metadata: { name: 'a', namespace: 'n' } })), {
    namespace: 'n',
    name: 'a',
  });
  assert.deepEqual(splitKey(keyOf({ metadata: { name: 'a' } })), {
    namespace: undefined,
    name: 'a',
  });
});
