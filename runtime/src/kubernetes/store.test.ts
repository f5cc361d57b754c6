import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Store } from './store.ts';
import type { KubernetesObject } from './types.ts';

interface Fruit extends KubernetesObject {
  readonly tastes: readonly string[];
}

const fruit = (name: string, ...tastes: string[]): Fruit => ({
  ...{ apiVersion: 'v1', kind: 'Fruit', tastes },
  metadata: { name, uid: name, resourceVersion: tastes.join() },
});

const aStore = () => new Store<Fruit>({ taste: ({ tastes }) => tastes });
const names = (store: Store<Fruit>, taste: string): readonly string[] =>
  store.byIndex('taste', taste).map(({ metadata }) => metadata.name);

test('an index has one object of a value, several, and one again', () => {
  const store = aStore();
  store.put(fruit('lemon', 'sour'));
  assert.deepEqual(names(store, 'sour'), ['lemon']);
  store.put(fruit('lime', 'sour', 'bitter'));
  assert.deepEqual(names(store, 'sour'), ['lemon', 'lime']);
  store.remove('lemon');
  assert.deepEqual(names(store, 'sour'), ['lime']);
  store.put(fruit('lime', 'bitter'));
  assert.deepEqual(names(store, 'sour'), []);
  assert.deepEqual(names(store, 'bitter'), ['lime']);
});

test('an object that gives a value twice is under it once, and goes with it', () => {
  const store = aStore();
  store.put(fruit('plum', 'sweet', 'sweet'));
  assert.deepEqual(names(store, 'sweet'), ['plum']);
  store.put(fruit('fig', 'sweet'));
  store.put(fruit('plum', 'sweet', 'sour', 'sweet'));
  assert.deepEqual([...names(store, 'sweet')].sort(), ['fig', 'plum']);
  store.remove('plum');
  assert.deepEqual(names(store, 'sweet'), ['fig']);
  store.remove('fig');
  assert.deepEqual(names(store, 'sweet'), []);
});

test('a new version takes the place of the one before in every index', () => {
  const store = aStore();
  store.put(fruit('fig', 'sweet'));
  const next = {
    ...fruit('fig', 'sweet'),
    metadata: { name: 'fig', uid: 'fig', resourceVersion: '2' },
  };
  store.put(next);
  assert.deepEqual(store.byIndex('taste', 'sweet'), [next]);
});
