/** An App of one image as a stack. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '@cloudlet/crds';
import { type ComposeError, convertPlan } from './index.ts';

const second = 1_000_000_000;

function aPlan(fields: Partial<Plan> = {}): Plan {
  return {
    id: 'id-1',
    sequence: 3,
    object: { namespace: 'acme', name: 'shop', uid: 'uid-1', generation: 1 },
    cloudlet: 'site',
    app: { name: 'shop', version: '1', revision: 'shop-1' },
    workload: { kind: 'Image', image: 'registry.example/shop' },
    ...fields,
  };
}

const convert = (fields: Partial<Plan> = {}, ipvs = false) =>
  convertPlan(aPlan(fields), { stack: 'shop-ab12c', ipvs, nameKey: 'key' });

test('an image becomes one service that is replaced task by task and goes back when it fails', () => {
  const update = {
    Parallelism: 1,
    FailureAction: 'rollback',
    Monitor: 10 * second,
    MaxFailureRatio: 0,
    Order: 'start-first',
  };
  const plan = convert({
    workload: { kind: 'Image', image: 'registry.example/shop', command: ['/run'], args: ['--all'] },
    replicas: 2,
    env: { B: '2', A: '1' },
    secretEnv: { S: 'hidden' },
    resources: { cpuMillis: 250, memoryBytes: 67_108_864 },
    ports: [
      { name: 'http', protocol: 'HTTP', port: 80, publicPort: 8080 },
      { name: 'admin', protocol: 'TCP', port: 9000, internalOnly: true },
    ],
  });
  assert.deepEqual(plan.services, [
    {
      name: 'shop',
      spec: {
        Name: 'shop-ab12c_shop',
        Labels: {
          'com.docker.stack.namespace': 'shop-ab12c',
          'com.docker.stack.image': 'registry.example/shop',
        },
        TaskTemplate: {
          ContainerSpec: {
            Image: 'registry.example/shop:latest',
            Labels: { 'com.docker.stack.namespace': 'shop-ab12c' },
            Command: ['/run'],
            Args: ['--all'],
            Env: ['A=1', 'B=2', 'S=hidden'],
            Privileges: { CredentialSpec: null, SELinuxContext: null, NoNewPrivileges: false },
            StopGracePeriod: 30 * second,
          },
          Resources: {
            Limits: { NanoCPUs: 250_000_000, MemoryBytes: 67_108_864 },
            Reservations: { NanoCPUs: 250_000_000, MemoryBytes: 67_108_864 },
          },
          RestartPolicy: { Condition: 'any', Delay: 5 * second },
          Placement: {},
          Networks: [{ Target: 'shop-ab12c_default', Aliases: ['shop'] }],
          ForceUpdate: 0,
        },
        Mode: { Replicated: { Replicas: 2 } },
        UpdateConfig: update,
        RollbackConfig: { ...update, FailureAction: 'pause' },
        EndpointSpec: {
          Mode: 'dnsrr',
          Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishMode: 'host' }],
        },
      },
    },
  ]);
  assert.deepEqual(plan.published, [
    { port: 'http', service: 'shop', protocol: 'tcp', target: 80, mode: 'host' },
  ]);
  assert.deepEqual(
    plan.networks.map(({ name }) => name),
    ['shop-ab12c_default'],
  );
  assert.deepEqual(plan.warnings, []);
});

test('files are mounted at their paths, secret ones as secrets', () => {
  const { configs, secrets, services } = convert({
    files: [
      { path: '/etc/shop.conf', content: 'a=1' },
      { path: '/run/key', content: 'aGlkZGVu', encoding: 'base64', secret: true },
    ],
  });
  assert.equal(configs[0]?.spec?.Data, Buffer.from('a=1').toString('base64'));
  assert.equal(secrets[0]?.spec?.Data, 'aGlkZGVu');
  const container = services[0]?.spec.TaskTemplate.ContainerSpec;
  const File = { UID: '0', GID: '0', Mode: 0o444 };
  assert.deepEqual(container?.Configs, [
    { File: { ...File, Name: '/etc/shop.conf' }, ConfigName: configs[0]?.name },
  ]);
  assert.deepEqual(container?.Secrets, [
    { File: { ...File, Name: '/run/key' }, SecretName: secrets[0]?.name },
  ]);
});

test('a file without an absolute path and a bad image are refused with their paths', () => {
  assert.throws(
    () =>
      convert({
        workload: { kind: 'Image', image: 'NOT AN IMAGE' },
        files: [{ path: 'relative.conf', content: 'x' }],
      }),
    (error: ComposeError) => {
      assert.deepEqual(error.mistakes.map(({ path }) => path).sort(), ['files[0]', 'image']);
      return true;
    },
  );
});

test('an App whose name would be too long beside the stack is called app', () => {
  const app = { name: 'x'.repeat(60), version: '1', revision: 'r' };
  assert.equal(convert({ app }).services[0]?.spec.Name, 'shop-ab12c_app');
});

test('zero replicas stay zero', () => {
  assert.deepEqual(convert({ replicas: 0 }).services[0]?.spec.Mode, {
    Replicated: { Replicas: 0 },
  });
});
