import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeError, TerminalError } from '@cloudlet/runtime/base';
import { anAppSpec } from '../builders.ts';
import type { SecretObject } from '../kinds.ts';
import {
  copiedData,
  decode,
  envTarget,
  nameKeyTarget,
  registryTarget,
  secretCopy,
} from './secrets.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const secrets = (data: Record<string, string>): ReadonlyMap<string, SecretObject> =>
  new Map([['s', { metadata: { name: 's', namespace: 'shop' }, data }]]);
const withEnv = anAppSpec({ env: [{ name: 'A', secretKeyRef: { name: 's', key: 'k' } }] });
const withRegistry = anAppSpec({ imagePullSecretRef: { name: 's' } });

test('only the keys that are referred to are copied', () => {
  assert.deepEqual(copiedData(withEnv, secrets({ k: base64('v'), other: base64('o') })), {
    [envTarget('A')]: base64('v'),
  });
  assert.equal(copiedData(anAppSpec(), secrets({ k: 'v' })), undefined);
});

for (const [title, given, message] of [
  ['a Secret', new Map<string, SecretObject>(), "spec.env[A].secretKeyRef: there is no Secret 's'"],
  ['a key', secrets({ x: '' }), "spec.env[A].secretKeyRef: Secret 's' has no key 'k'"],
] as const)
  test(`${title} that is missing is named with the field that wants it`, () => {
    assert.throws(
      () => copiedData(withEnv, given),
      (error) =>
        error instanceof TerminalError &&
        error.reason === 'SecretNotFound' &&
        error.message === message,
    );
  });

test('registry credentials are copied by host, from either form', () => {
  const config = {
    auths: {
      'https://registry.example/v1/': { auth: base64('a:b') },
      'other.example:5000': { username: 'c', password: 'd' },
    },
  };
  const data = copiedData(
    withRegistry,
    secrets({ '.dockerconfigjson': base64(JSON.stringify(config)) }),
  );
  assert.deepEqual(JSON.parse(decode(data?.[registryTarget] ?? '')), {
    'registry.example': base64('a:b'),
    'other.example:5000': base64('c:d'),
  });
});

test('damaged credentials are told without showing any of them', () => {
  assert.throws(
    () => copiedData(withRegistry, secrets({ '.dockerconfigjson': base64('{"auths": hunter2') })),
    (error) => !describeError(error).includes('hunter2') && error instanceof TerminalError,
  );
});

test('the name of a copy depends on content, namespace and key, and on nothing else', () => {
  const name = (key: string, namespace: string, data: Record<string, string>): string =>
    secretCopy(key, namespace, data).metadata.name;
  const first = name('k', 'shop', { a: '1', b: '2' });
  assert.equal(name('k', 'shop', { b: '2', a: '1' }), first);
  assert.notEqual(name('other', 'shop', { a: '1', b: '2' }), first);
  assert.notEqual(name('k', 'other', { a: '1', b: '2' }), first);
  assert.notEqual(name('k', 'shop', { a: '1', b: '3' }), first);
});

test('a copy brings the key that its site names secrets by: one for an organization', () => {
  const keyOf = (key: string, namespace: string, data: Record<string, string>) =>
    secretCopy(key, namespace, data).data?.[nameKeyTarget];
  assert.equal(keyOf('k', 'shop', { a: '1' }), keyOf('k', 'shop', { a: '2' }));
  assert.notEqual(keyOf('k', 'shop', {}), keyOf('k', 'other', {}));
  assert.notEqual(keyOf('k', 'shop', {}), keyOf('l', 'shop', {}));
});
