/** When a service needs an update. On a real engine: e2e/scenarios/compose-equality.test.ts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sameService, serviceDifferences, type ServiceSpec, unknownKeys } from './index.ts';
import { corpus } from './testdata/corpus.ts';
import { corpusPlan } from './testdata/recorded-plan.ts';

const second = 1_000_000_000;

function specOf(body: string): ServiceSpec {
  const [service] = corpusPlan(`services:\n  a:\n    image: nginx\n${body}`).services;
  return service?.spec ?? assert.fail();
}

/** What an engine answers for the plainest service, asked with its defaults filled in. */
const inspected = {
  Name: 'st_a',
  Labels: { 'com.docker.stack.image': 'nginx', 'com.docker.stack.namespace': 'st' },
  TaskTemplate: {
    ContainerSpec: {
      Image: 'nginx:latest@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      Labels: { 'com.docker.stack.namespace': 'st' },
      Privileges: { CredentialSpec: null, SELinuxContext: null, NoNewPrivileges: false },
      StopGracePeriod: 10 * second,
      DNSConfig: {},
      Isolation: 'default',
    },
    Resources: {},
    RestartPolicy: { Condition: 'any', Delay: 5 * second, MaxAttempts: 0 },
    Placement: { Platforms: [{ Architecture: 'amd64', OS: 'linux' }] },
    Networks: [{ Target: 'network-id', Aliases: ['a'] }],
    ForceUpdate: 7,
    Runtime: 'container',
  },
  Mode: { Replicated: { Replicas: 1 } },
  UpdateConfig: {
    Parallelism: 1,
    FailureAction: 'pause',
    Monitor: 5 * second,
    MaxFailureRatio: 0,
    Order: 'stop-first',
  },
  RollbackConfig: {
    Parallelism: 1,
    FailureAction: 'pause',
    Monitor: 5 * second,
    MaxFailureRatio: 0,
    Order: 'stop-first',
  },
  EndpointSpec: { Mode: 'vip' },
};
const facts = { networkNames: new Map([['network-id', 'st_default']]) };

describe('a service is the same', () => {
  test('when the engine has only filled in what it was not told', () => {
    assert.deepEqual(serviceDifferences(specOf(''), inspected, facts), []);
  });

  test('as itself, for every service of the corpus', () => {
    for (const file of corpus('corpus'))
      for (const { spec } of corpusPlan(file.text).services)
        assert.ok(sameService(spec, spec), spec.Name);
  });

  test('in another order of its ports, networks, configs and secrets', () => {
    const ports = (list: string) => specOf(`    ports: ${list}\n`);
    assert.ok(sameService(ports('["80:80", "443"]'), ports('["443", "80:80"]')));
  });

  test('when an old engine has dropped keys that it does not know', () => {
    const wanted = specOf('    healthcheck: {test: x, start_interval: 1s}\n    oom_score_adj: 5\n');
    const { OomScoreAdj: _, ...container } = wanted.TaskTemplate.ContainerSpec;
    const stored = {
      ...wanted,
      TaskTemplate: {
        ...wanted.TaskTemplate,
        ContainerSpec: { ...container, Healthcheck: { Test: ['CMD-SHELL', 'x'] } },
      },
    };
    assert.ok(sameService(wanted, stored, { apiVersion: '1.41' }));
    assert.deepEqual(serviceDifferences(wanted, stored, { apiVersion: '1.50' }).toSorted(), [
      'TaskTemplate.ContainerSpec.Healthcheck.StartInterval',
      'TaskTemplate.ContainerSpec.OomScoreAdj',
    ]);
    assert.deepEqual(unknownKeys(wanted, '1.41'), [
      'StartInterval (needs API 1.44)',
      'OomScoreAdj (needs API 1.46)',
    ]);
  });
});

describe('a service needs an update', () => {
  test('for every change that a file can make to it', () => {
    const changes = [
      'command: run',
      'cap_add: [NET_ADMIN]',
      'deploy: {labels: {a: ""}}',
      'deploy: {replicas: 0}',
      'deploy: {replicas: 2}',
      'deploy: {mode: global}',
      'deploy: {mode: replicated-job}',
      'deploy: {mode: global-job}',
      'deploy: {endpoint_mode: dnsrr}',
      'deploy: {update_config: {parallelism: 0}}',
      'deploy: {update_config: {order: start-first}}',
      'deploy: {rollback_config: {monitor: 6s}}',
      'deploy: {restart_policy: {condition: none}}',
      'deploy: {restart_policy: {delay: 0s}}',
      'deploy: {restart_policy: {max_attempts: 1}}',
      'deploy: {placement: {constraints: [node.role == worker]}}',
      'deploy: {placement: {max_replicas_per_node: 1}}',
      'deploy: {resources: {limits: {memory: 10M}}}',
      'deploy: {resources: {reservations: {cpus: "0.1"}}}',
      'dns: 1.1.1.1',
      'entrypoint: run',
      'environment: {A: ""}',
      'extra_hosts: ["a:1.1.1.1"]',
      'healthcheck: {disable: true}',
      'hostname: h',
      'image: nginx:1',
      'init: false',
      'init: true',
      'isolation: hyperv',
      'labels: {a: ""}',
      'logging: {driver: none}',
      'networks: {default: {aliases: [b]}}',
      'ports: [80]',
      'ports: ["80:80"]',
      'read_only: true',
      'stdin_open: true',
      'stop_grace_period: 0s',
      'stop_grace_period: 20s',
      'stop_signal: SIGINT',
      'sysctls: {a: ""}',
      'tty: true',
      'ulimits: {core: 0}',
      'user: a',
      'volumes: ["/a"]',
      'working_dir: /a',
    ];
    for (const change of changes) {
      const text = change.startsWith('image') ? '' : `    ${change}\n`;
      const wanted = change.startsWith('image')
        ? corpusPlan('services: {a: {image: "nginx:1"}}').services[0]?.spec
        : specOf(text);
      assert.ok(wanted && !sameService(wanted, inspected, facts), change);
      assert.ok(sameService(wanted, wanted), change);
    }
  });

  test('and is told by paths without values', () => {
    const wanted = specOf('    environment: {A: secret}\n    hostname: h\n');
    assert.deepEqual(serviceDifferences(wanted, inspected, facts).toSorted(), [
      'TaskTemplate.ContainerSpec.Env',
      'TaskTemplate.ContainerSpec.Hostname',
    ]);
  });

  test('of a service that is something else altogether', () => {
    for (const other of [null, 7, 'text', [], {}]) assert.ok(!sameService(specOf(''), other));
  });
});
