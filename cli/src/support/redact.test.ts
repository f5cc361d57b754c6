import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redacted, scrubbed } from './redact.ts';

test('of an App the shape stays, and no value, file, compose, argument or foreign annotation', () => {
  const app = {
    kind: 'App',
    metadata: {
      name: 'shop',
      managedFields: ['x'],
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '{"hush":1}',
        'edge.cloudlet.dev/instance-id': 'id-1',
      },
    },
    spec: {
      image: 'shop:1',
      env: [
        { name: 'A', value: 'hush' },
        { name: 'B', secretKeyRef: { name: 'keys', key: 'b' } },
      ],
      files: [{ path: '/etc/x', content: 'hush' }],
      compose: 'services: {hush: 1}',
      command: ['serve', '--password=hush'],
      args: ['hush'],
      ports: [{ name: 'web', port: 80 }],
    },
  };
  assert.deepEqual(redacted(app), {
    kind: 'App',
    metadata: {
      name: 'shop',
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': '***',
        'edge.cloudlet.dev/instance-id': 'id-1',
      },
    },
    spec: {
      image: 'shop:1',
      env: [
        { name: 'A', value: '*** (4 characters)' },
        { name: 'B', secretKeyRef: { name: 'keys', key: 'b' } },
      ],
      files: [{ path: '/etc/x', content: '*** (4 characters)' }],
      compose: '*** (19 characters)',
      command: ['serve', '***'],
      args: ['***'],
      ports: [{ name: 'web', port: 80 }],
    },
  });
});

test('of a Secret or ConfigMap only the keys stay, and quotas keep their values', () => {
  assert.deepEqual(redacted({ data: { token: 'aHVzaA==' }, stringData: { a: 'hush' } }), {
    data: { token: '***' },
    stringData: { a: '***' },
  });
  const quotas = { spec: { resourceQuotas: [{ name: 'vcpus', value: '4' }] } };
  assert.deepEqual(redacted(quotas), quotas);
});

test('what looks like a credential in a log or message is masked, and the rest is left', () => {
  const key = '-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----';
  for (const text of [
    'Authorization: Bearer abcdefgh12345',
    'GET https://jane:hushhush@registry.example/v2/',
    'a eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJqYW5lIn0.c2lnbmF0dXJl b',
    '{"token":"hushhush","name":"x"}',
    'login with password=hushhush failed',
    `before ${key} after`,
  ]) {
    const clean = scrubbed(text);
    assert.match(clean, /\*\*\*/, text);
    assert.doesNotMatch(clean, /hushhush|abcdefgh12345|eyJhbG|PRIVATE KEY/, text);
  }
  const plain = 'the Secret shop/keys lacks the key token; secretName: keys';
  assert.equal(scrubbed(plain), plain);
});
