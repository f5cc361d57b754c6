/**
 * The life of an installation with Helm, on a real API server: install, run with what the chart grants,
 * upgrade, uninstall, install again. No instance and no site is lost on the way.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, test, type TestContext } from 'node:test';
import { connect } from 'node:tls';
import { namespaces } from '@cloudlet/crds';
import { bundleAgent } from '@cloudlet/agent/bundle';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import { createAuthority } from '@cloudlet/tunnel';
import { join } from 'node:path';
import { type Component, expect, freePorts, until } from '../testbed/index.ts';
import { foreignCrds } from '../testbed/helm/foreign.ts';
import { helmUnavailable } from '../testbed/helm/helm.ts';
import { kindsServed } from '../testbed/region/install.ts';
import {
  chart,
  type InstalledProcess,
  type InstalledRegion,
  openInstalledRegion,
  type PodTemplate,
  valuesOf,
} from './delivery-bed.ts';

const skip = helmUnavailable() ?? false;
const system = namespaces.system;
const release = ['region', chart('cloudlet-operator'), '--namespace', system];
const defaults = ['-f', valuesOf('cloudlet-operator', 'default-values.yaml')];

let region: InstalledRegion;
let kubectl: InstalledRegion['controlPlane']['kubectl'];
let withoutForeign: string | undefined;
let unusable: string | undefined;
before(async () => {
  if (skip) return;
  region = await openInstalledRegion();
  kubectl = region.controlPlane.kubectl;
  const { gitVersion } = JSON.parse(await kubectl(['get', '--raw', '/version'])) as {
    gitVersion: string;
  };
  if (!/^v1\.\d+/.test(gitVersion))
    unusable = `charts ask for a version of Kubernetes, and the API server in the cache says ${gitVersion}: remove it`;
  try {
    const files = await foreignCrds();
    const apply = ['apply', '--server-side', ...files.flatMap((file) => ['-f', file])];
    await kubectl(apply);
  } catch (error) {
    withoutForeign = describeError(error);
  }
});
after(() => region?.close());

/** One step of the life; each builds on those before. */
const step = (title: string, body: (t: TestContext) => Promise<unknown>): void =>
  void test(title, { skip, timeout: 240_000 }, async (t) => {
    if (unusable === undefined) await body(t);
    else t.skip(unusable);
  });

/** Whether the API server would let such a pod in. */
async function admit(template: PodTemplate, namespace: string): Promise<void> {
  const metadata = { ...template.metadata, name: 'trial', namespace };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
  await kubectl(['create', '--dry-run=server', '-f', '-'], { input: JSON.stringify(pod) });
}

step('helm install brings up all objects, and their pods are restricted', async () => {
  const out = await region.helm(['install', ...release, ...defaults, '--create-namespace']);
  assert.match(out, /kubectl cloudlet join my-site/);
  await kindsServed({ kubectl });
  const label = 'pod-security.kubernetes.io/enforce=restricted';
  await kubectl(['label', 'namespace', system, label]);
  for (const name of ['operator', 'hub', 'access'])
    await admit(await region.podOf(`deployment/cloudlet-${name}`), system);
  const hooks = await region.helm(['get', 'hooks', 'region', '--namespace', system]);
  assert.match(hooks, /helm\.sh\/hook: test/);
  await kubectl(['create', '--dry-run=server', '-f', '-'], { input: hooks });
  const root = structuredClone(await region.podOf('deployment/cloudlet-hub'));
  Object.assign(root.spec, { securityContext: { runAsUser: 0 } });
  await assert.rejects(admit(root, system), /violates PodSecurity "restricted/);
});

let operator: InstalledProcess;
let hub: Component;
let hubPort: number;
let first: string;

/** The certificate that the hub shows. */
function shown(): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const options = { port: hubPort, host: '127.0.0.1', rejectUnauthorized: false };
    const socket = connect({ ...options, servername: 'localhost', ALPNProtocols: ['h2'] });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    });
  });
}

step('the processes of its Deployments run with the rights that it grants', async () => {
  const ports = await freePorts(4);
  hubPort = ports[0] ?? 0;
  const [agents, enroll, sessions, access] = ports.map((port) => `127.0.0.1:${port}`);
  operator = await region.process('operator');
  hub = await region.process('hub', [
    ...['--listen', agents ?? '', '--enroll-listen', enroll ?? ''],
    ...['--session-listen', sessions ?? ''],
  ]);
  const server = await region.process('access', ['--listen', access ?? '']);
  await Promise.all([operator.start(), hub.start(), server.start()]);
  const cloudlet = {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'Cloudlet',
    metadata: { name: 'site' },
    spec: { operator: 'me', platform: 'DockerSwarm', location: { latitude: 58, longitude: 26 } },
  };
  await kubectl(['apply', '-f', '-'], { input: JSON.stringify(cloudlet) });
  await until('the join of the site', 30_000, () =>
    kubectl(['get', 'secret', 'join-site', '--namespace', system]),
  );
  for (const each of [operator, hub, server])
    assert.doesNotMatch(each.tail(500), /"code":403|Forbidden/, each.name);
  first = (await shown()).fingerprint256;
  await server.stop();
});

step(
  'an upgrade switches everything on, as the API server and the owners of the kinds take it',
  async (t) => {
    if (withoutForeign !== undefined) return t.skip(withoutForeign);
    const with_ = (file: string): string[] => ['-f', valuesOf('cloudlet-operator', file)];
    const gateway = [...with_('gateway-values.yaml'), '--dry-run=server'];
    await region.helm(['upgrade', ...release, ...gateway]);
    await region.helm(['upgrade', ...release, ...with_('everything-values.yaml')]);
    for (const object of [
      'servicemonitor/cloudlet-operator',
      'prometheusrule/cloudlet-operator',
      'configmap/cloudlet-dashboard',
      'configmap/extra',
    ])
      await kubectl(['get', object, '--namespace', system]);
    await kubectl(['get', 'certificate/cloudlet-ca', '--namespace', namespaces.authority]);
    for (const name of ['operator', 'hub', 'access'])
      await admit(await region.podOf(`deployment/cloudlet-${name}`), system);
  },
);

step('a new name is in the certificate, and the hub runs on', async () => {
  const names = ['--set', 'hub.names={hub.example.org}'];
  await region.helm(['upgrade', ...release, ...defaults, ...names]);
  await operator.stop();
  operator = await region.process('operator');
  await operator.start();
  const { pid } = hub;
  await until('the hub to show the new certificate', 90_000, async () => {
    const certificate = await shown();
    expect(certificate.fingerprint256 !== first, 'it shows the old one');
    assert.match(certificate.subjectAltName ?? '', /DNS:hub\.example\.org/);
  });
  assert.equal(hub.pid, pid);
  assert.ok(hub.running);
});

const uidOf = async (what: string): Promise<string> =>
  (await region.get<{ metadata: { uid: string } }>(...what.split(' '))).metadata.uid;

step(
  'an uninstall leaves kinds, namespaces, sites and authority; the next install goes on',
  async () => {
    await Promise.all([operator.stop(), hub.stop()]);
    const stay = [
      'cloudlet site',
      'crd appinsts.edge.cloudlet.dev',
      `namespace ${namespaces.authority}`,
      `secret cloudlet-ca --namespace ${namespaces.authority}`,
      `secret join-site --namespace ${system}`,
    ];
    const before = await Promise.all(stay.map(uidOf));
    await region.helm(['uninstall', 'region', '--namespace', system, '--wait']);
    for (const what of [
      'deployments',
      'validatingadmissionpolicies',
      'clusterroles',
      'apiservices',
    ]) {
      const { items } = await region.get<{ items: { metadata: { name: string } }[] }>(
        ...[what, '--all-namespaces', '-l', 'app.kubernetes.io/part-of=cloudlet-operator'],
      );
      assert.deepEqual(
        items.map(({ metadata }) => metadata.name),
        [],
        what,
      );
    }
    assert.deepEqual(await Promise.all(stay.map(uidOf)), before);
    await region.helm(['install', ...release, ...defaults]);
    assert.deepEqual(await Promise.all(stay.map(uidOf)), before);
    assert.equal(await uidOf('clusterrole cloudlet-operator').then((uid) => uid.length), 36);
  },
);

step("an authority of another's making is waited for, and used", async () => {
  const authority = ['--namespace', namespaces.authority];
  await kubectl(['delete', 'secret', 'cloudlet-ca', ...authority]);
  operator = await region.process('operator', ['--authority=given']);
  await operator.start();
  const waited = /reconcile_total\{controller="identity",result="requeue_after"\} [1-9]/;
  await until('the operator to wait', 30_000, async () =>
    assert.match(await operator.metrics(), waited),
  );
  const given = await createAuthority({ now: Date.now() });
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'kubernetes.io/tls',
    metadata: { name: 'cloudlet-ca', namespace: namespaces.authority },
    stringData: { 'tls.crt': given.certificatePem, 'tls.key': given.keyPem.reveal() },
  };
  await kubectl(['create', '-f', '-'], { input: JSON.stringify(secret) });
  await until("the hub's certificate to be of it", 60_000, async () => {
    const { data } = await region.get<{ data: Record<string, string> }>(
      ...['secret', 'cloudlet-hub-tls', '--namespace', system],
    );
    assert.equal(Buffer.from(data['ca.crt'] ?? '', 'base64').toString(), given.certificatePem);
    const certificate = new X509Certificate(Buffer.from(data['tls.crt'] ?? '', 'base64'));
    assert.ok(certificate.checkIssued(new X509Certificate(given.certificatePem)));
  });
  await operator.stop();
});

step('the chart of the agent installs a pod that is restricted', async () => {
  const label = 'pod-security.kubernetes.io/enforce=restricted';
  await kubectl(['create', 'namespace', 'site']);
  await kubectl(['label', 'namespace', 'site', label]);
  const agent = ['my-site', chart('cloudlet-agent'), '--namespace', 'site'];
  const fake = ['-f', valuesOf('cloudlet-agent', 'fake-values.yaml')];
  const out = await region.helm(['install', ...agent, ...fake]);
  assert.match(out, /It has no join yet/);
  const joined = ['--set', 'join.secretName=cloudlet-join'];
  await region.helm(['upgrade', ...agent, ...fake, ...joined]);
  const pod = await region.podOf('statefulset/my-site-cloudlet-agent', 'site');
  // Its volume is a claim's, which the StatefulSet adds.
  Object.assign(pod.spec, { volumes: [{ name: 'tmp' }, { name: 'state' }, { name: 'join' }] });
  await admit(pod, 'site');
  const { entry } = await bundleAgent({ outFolder: join(region.dir, 'agent') });
  const args = pod.spec.containers[0]?.args ?? [];
  assert.ok(args.includes('--join-file=/var/run/cloudlet-join/join'));
  await runCommand(process.execPath, [entry, ...args, '--version'], { timeoutMs: 60_000 });
  await region.helm(['uninstall', 'my-site', '--namespace', 'site']);
});
