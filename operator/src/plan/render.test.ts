import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AppInstStatus, plan as planSchema } from '@cloudlet/crds';
import { contentHash, WaitingError } from '@cloudlet/runtime/base';
import { anAppInst, aRevision } from '../builders.ts';
import type { SecretObject } from '../kinds.ts';
import { renderPlan, uriOf } from './render.ts';
import { envTarget, fileTarget, nameKeyTarget, registryTarget } from './secrets.ts';

const status = (more: Partial<NonNullable<AppInstStatus['rollout']>> = {}): AppInstStatus => ({
  placement: { cloudlet: 'edge1', sequence: 4 },
  ports: [{ name: 'http', protocol: 'HTTP', port: 80, publicPort: 10_001 }],
  rollout: { revision: 'web-1', sequence: 4, generation: 1, ...more },
});
const base64 = (text: string): string => Buffer.from(text).toString('base64');
const copy = (data: Record<string, string>): SecretObject => ({
  metadata: { name: 'copy-1', namespace: 'cloudlet-secrets' },
  data,
});

test('the smallest plan holds no field at its default', () => {
  const appInst = anAppInst({
    spec: { replicas: 1, powerState: 'On', suspend: false },
    status: status(),
  });
  const plan = renderPlan({ appInst, revision: aRevision({ volumes: { onDelete: 'Retain' } }) });
  assert.deepEqual(plan, {
    id: 'id-web',
    sequence: 4,
    requires: ['volumes'],
    object: { namespace: 'shop', name: 'web', uid: 'uid-web', generation: 1 },
    cloudlet: 'edge1',
    app: { name: 'web', version: '1.2', revision: 'web-1' },
    workload: { kind: 'Image', image: 'shop:1.2' },
  });
});

const rich = () => ({
  appInst: anAppInst({
    spec: {
      replicas: 3,
      powerState: 'Off' as const,
      suspend: true,
      env: [
        { name: 'OWN', value: '{{uri}}' },
        { name: 'TOKEN', value: 'mine' },
      ],
    },
    status: {
      ...status({
        secret: 'copy-1',
        host: '203.0.113.7',
        resources: { cpuMillis: 500, memoryBytes: 1024 },
        nodeLabels: [{ name: 'gpu', value: 'yes' }],
      }),
      placement: { cloudlet: 'edge1', cluster: 'shop/part', sequence: 4 },
    },
  }),
  revision: aRevision({
    image: 'shop:1',
    command: ['/shop'],
    args: ['-v'],
    env: [
      { name: 'WHERE', value: '{{cloudlet.name}}/{{cluster.name}} {{ports.http}} {{ports.peer}}' },
      { name: 'TOKEN', secretKeyRef: { name: 's', key: 'k' } },
      { name: 'PASSWORD', secretKeyRef: { name: 's', key: 'p' } },
    ],
    files: [
      { path: 'a.conf', content: 'v={{app.version}}' },
      { path: 'b.pem', secretKeyRef: { name: 's', key: 'pem' } },
      { path: 'c.bin', secretKeyRef: { name: 's', key: 'bin' } },
    ],
    ports: [
      { name: 'http', protocol: 'HTTP', port: 80, healthCheck: { type: 'HTTP', path: '/up' } },
      { name: 'peer', protocol: 'TCP', port: 7000, internalOnly: true },
    ],
    volumes: { onDelete: 'Delete' },
  }),
  secret: copy({
    [envTarget('TOKEN')]: base64('hidden'),
    [envTarget('PASSWORD')]: base64('secret'),
    [fileTarget('b.pem')]: base64('PEM'),
    [fileTarget('c.bin')]: Buffer.from([0xff, 0x00]).toString('base64'),
    [registryTarget]: base64(JSON.stringify({ 'registry.example': base64('u:p') })),
  }),
});

test('a plan with everything in it is what the agent expects', () => {
  const plan = renderPlan(rich());
  assert.deepEqual(planSchema.parse(plan), plan);
  assert.deepEqual(plan, {
    id: 'id-web',
    sequence: 4,
    requires: ['ports', 'files', 'volumes'],
    object: { namespace: 'shop', name: 'web', uid: 'uid-web', generation: 1 },
    cloudlet: 'edge1',
    cluster: { name: 'shop/part', nodeLabels: { gpu: 'yes' } },
    app: { name: 'web', version: '1.2', revision: 'web-1' },
    workload: { kind: 'Image', image: 'shop:1', command: ['/shop'], args: ['-v'] },
    replicas: 3,
    powerState: 'Off',
    suspend: true,
    env: {
      WHERE: 'edge1/part 10001 7000',
      OWN: 'http://203.0.113.7:10001',
      TOKEN: 'mine',
    },
    secretEnv: { PASSWORD: 'secret' },
    files: [
      { path: 'a.conf', content: 'v=1.2' },
      { path: 'b.pem', content: 'PEM', secret: true },
      { path: 'c.bin', content: '/wA=', encoding: 'base64', secret: true },
    ],
    ports: [
      {
        name: 'http',
        protocol: 'HTTP',
        port: 80,
        publicPort: 10_001,
        healthCheck: { type: 'HTTP', path: '/up' },
      },
      { name: 'peer', protocol: 'TCP', port: 7000, internalOnly: true },
    ],
    resources: { cpuMillis: 500, memoryBytes: 1024 },
    volumesOnDelete: 'Delete',
    registryAuth: { 'registry.example': base64('u:p') },
  });
});

test('a plan of this version has the hash that it had: an upgrade changes no plan', () => {
  assert.equal(
    contentHash(renderPlan(rich()), 32),
    'a909aa0c85fe950bd11bac825a1ebce3',
    'hubs and agents of another version would see another plan and roll it out',
  );
});

test('an encrypted overlay is for agents that know it, and host paths pass through', () => {
  const pinned = status({ overlayEncrypted: true, hostPaths: ['/srv/data'] });
  const plan = renderPlan({ appInst: anAppInst({ status: pinned }), revision: aRevision() });
  assert.deepEqual(plan.requires, ['overlay']);
  assert.equal(plan.overlayEncrypted, true);
  assert.deepEqual(plan.hostPaths, ['/srv/data']);
});

test('the key that secrets are named by comes with their copy', () => {
  const appInst = anAppInst({ status: status({ secret: 'copy-1' }) });
  const secret = copy({ [nameKeyTarget]: base64('key') });
  assert.equal(renderPlan({ appInst, revision: aRevision(), secret }).nameKey, 'key');
});

test('the same inputs give the same plan, byte for byte', () => {
  assert.equal(JSON.stringify(renderPlan(rich())), JSON.stringify(renderPlan(rich())));
});

for (const [title, change] of [
  ['is not placed', { appInst: anAppInst() }],
  [
    'has another generation',
    { appInst: anAppInst({ metadata: { generation: 2 }, status: status() }) },
  ],
  ['has no revision yet', { revision: undefined }],
  ['has another revision', { revision: aRevision({}, 'web-2') }],
  ['has no copy of its secrets yet', { secret: undefined }],
  ['has a copy that lacks a key', { secret: copy({}) }],
] as const)
  test(`an AppInst that ${title} gives no plan`, () => {
    assert.throws(() => renderPlan({ ...rich(), ...change }), WaitingError);
  });

test('an IPv6 address is put into brackets', () => {
  assert.equal(uriOf('HTTP', '2001:db8::1', 80), 'http://[2001:db8::1]:80');
  assert.equal(uriOf('UDP', 'host', 53), 'udp://host:53');
});
