import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import {
  checkArchitecture,
  credentialsFor,
  platformName,
  registryOf,
  resolveImage,
} from './images.ts';
import type { Plan } from '@cloudlet/crds';
import { engineThat } from './testing.ts';

test('a registry is what stands before the first slash and looks like a host', () => {
  assert.equal(registryOf('nginx:1'), 'docker.io');
  assert.equal(registryOf('library/nginx'), 'docker.io');
  assert.equal(registryOf('registry.example/shop:1'), 'registry.example');
  assert.equal(registryOf('localhost/shop'), 'localhost');
  assert.equal(registryOf('192.0.2.1:5000/shop@sha256:aa'), '192.0.2.1:5000');
});

test('credentials are those of the registry; a password may hold colons', () => {
  const registryAuth = { 'registry.example': Buffer.from('user:pass:word').toString('base64') };
  const plan = { registryAuth } as unknown as Plan;
  assert.deepEqual(credentialsFor('registry.example/shop', plan), {
    username: 'user',
    password: 'pass:word',
    serveraddress: 'registry.example',
  });
  assert.equal(credentialsFor('other.example/shop', plan), undefined);
});

test('platforms are named as in images, whatever the node calls itself', () => {
  assert.equal(platformName({ os: 'linux', architecture: 'armv7l' }), 'linux/arm/v7');
  assert.equal(platformName({ os: 'linux', architecture: 'arm', variant: 'v6' }), 'linux/arm/v6');
  assert.equal(platformName({ os: 'linux', architecture: 'aarch64' }), 'linux/arm64');
  assert.equal(platformName({ os: 'unknown', architecture: 'unknown' }), undefined);
});

test('an image that no node runs is a permanent failure that names both sides', () => {
  assert.doesNotThrow(() => checkArchitecture('shop:1', ['linux/arm/v7'], ['linux/arm/v7']));
  assert.doesNotThrow(() => checkArchitecture('shop:1', [], ['linux/arm/v7']));
  assert.throws(() => checkArchitecture('shop:1', ['linux/amd64'], ['linux/arm/v7']), {
    reason: 'ArchitectureMismatch',
    permanent: true,
    message: 'image shop:1 is for linux/amd64; the site runs linux/arm/v7',
  });
});

/** An engine that has no image, and whose registry says that. */
const engineWhoseRegistrySays = (context: TestContext, status: number, message: string) =>
  engineThat(context, ({ url = '' }, response) => {
    const isRegistry = url.includes('/distribution/');
    response.writeHead(isRegistry ? status : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message: isRegistry ? message : 'No such image: shop:1' }));
  });

const answers: readonly [status: number, message: string, expected: object][] = [
  [404, 'manifest unknown', { reason: 'ImageNotFound', permanent: true }],
  [401, 'unauthorized', { reason: 'ImageNotFound', permanent: true }],
  [500, 'dial tcp: connect: connection refused', { reason: 'DeployFailed', permanent: false }],
];
for (const [status, message, expected] of answers)
  test(`an image that the site has no copy of, whose registry says: ${message}`, async (context) => {
    const engine = await engineWhoseRegistrySays(context, status, message);
    const signal = AbortSignal.timeout(10_000);
    await assert.rejects(resolveImage(engine, 'shop:1', {}, signal), expected);
  });
