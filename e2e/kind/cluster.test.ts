import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { repositoryRoot } from '../testbed/index.ts';
import { configOf, nodePorts } from './cluster.ts';
import { kubernetesVersion } from './programs.ts';

test('the ports of the node are published where the caller wants them', () => {
  const ports = { [nodePorts.agents]: 1443, [nodePorts.enroll]: 1444 };
  const { nodes, networking } = parse(configOf({ host: '10.0.0.1', ports })) as {
    nodes: { role: string; extraPortMappings: object[] }[];
    networking: object;
  };
  assert.deepEqual(nodes, [
    {
      role: 'control-plane',
      extraPortMappings: [
        { listenAddress: '10.0.0.1', hostPort: 1443, containerPort: 30443 },
        { listenAddress: '10.0.0.1', hostPort: 1444, containerPort: 30444 },
      ],
    },
  ]);
  assert.deepEqual(networking, { ipFamily: 'ipv4', kubeProxyMode: 'nftables' });
});

test("the chart's values and the cluster name the same ports of the node", () => {
  const values = parse(readFileSync(join(import.meta.dirname, 'values.yaml'), 'utf8')) as {
    hub: { port: number; service: { nodePort: number; enrollNodePort: number } };
    enroll: { port: number };
  };
  const { nodePort, enrollNodePort } = values.hub.service;
  assert.deepEqual({ agents: nodePort, enroll: enrollNodePort }, nodePorts);
  assert.deepEqual([values.hub.port, values.enroll.port], [nodePort, enrollNodePort]);
});

test('the node runs the Kubernetes that the control plane of the test bed is', () => {
  const module = join(repositoryRoot, 'e2e/testbed/controlplane/go.mod');
  const version = /^\s*k8s\.io\/kubernetes (v\S+)/m.exec(readFileSync(module, 'utf8'))?.[1];
  assert.equal(kubernetesVersion(), version);
});
