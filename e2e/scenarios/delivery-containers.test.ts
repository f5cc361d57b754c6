/**
 * The agent's image as a container beside an engine, started by Testcontainers from an image that the engine was
 * given: it becomes healthy, joins a region from behind the engine's own network, and is the same member after a
 * restart. Nothing is pulled for it.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Cloudlet } from '@cloudlet/crds';
import type { StartedTestContainer } from 'testcontainers';
import { ownArchitecture, writeArchive } from '../images/oci.ts';
import { bundleOf, productImage } from '../images/product.ts';
import {
  cloudletReady,
  type EmbeddedControlPlane,
  expect,
  type Phone,
  type Phones,
  phonesForTest,
  phonesUnavailable,
  startControlPlane,
  startRegion,
  until,
} from '../testbed/index.ts';
import { testcontainersOn } from '../testbed/containers/testcontainers.ts';
import { joinOf } from '../testbed/region/site.ts';

const skip = phonesUnavailable() ?? false;
const site = 'container';
const bed = new AsyncDisposableStack();
let controlPlane: EmbeddedControlPlane;
let phones: Phones;
let engine: Phone;
let image: string;
let imagesBefore: string;

const imagesOf = (): Promise<string> =>
  engine.docker(['image', 'ls', '--all', '--format', '{{.Repository}}:{{.Tag}}']);

before(async () => {
  if (skip) return;
  const dir = await mkdtemp(join(tmpdir(), 'containers-'));
  bed.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
  phones = await phonesForTest({ count: 1, prefix: 'dphone', net: '10.79.6' });
  bed.defer(() => phones.stop());
  engine = phones.phones[0]!;
  controlPlane = await startControlPlane({ dir: join(dir, 'control-plane') });
  bed.defer(() => controlPlane.stop());
  const host = phones.hostIp;
  const region = await startRegion({ controlPlane, dir: join(dir, 'region'), host, access: false });
  bed.defer(() => region.stop());
  const made = await productImage(await bundleOf('agent'), ownArchitecture);
  image = made.name;
  const archive = join(dir, 'agent.tar');
  await writeArchive([made], archive);
  await engine.docker(['load', '--quiet', '--input', archive], { timeoutMs: 120_000 });
  bed.defer(async () => void (await engine.docker(['rmi', '--force', image])));
  imagesBefore = await imagesOf();
  const spec = { operator: 'campus', platform: 'Fake' };
  const object = { apiVersion: 'edge.cloudlet.dev/v1alpha1', kind: 'Cloudlet' };
  await controlPlane.kubectl(['apply', '-f', '-'], {
    input: JSON.stringify({ ...object, metadata: { name: site }, spec }),
  });
});

after(async () => {
  await container?.stop({ remove: true, removeVolumes: true });
  await bed.disposeAsync();
});

let container: StartedTestContainer | undefined;

/** As the image has it: no shell, so the check is Node's. */
const isReady = "fetch('http://127.0.0.1:9440/readyz').then(({ ok }) => process.exit(ok ? 0 : 1))";

async function startAgentContainer(): Promise<StartedTestContainer> {
  const { GenericContainer, Wait } = await testcontainersOn({
    env: { DOCKER_HOST: `unix://${engine.socketPath}` },
    host: engine.ip,
  });
  const content = await joinOf(controlPlane, site);
  return new GenericContainer(image)
    .withCommand([
      ...['--state-dir', '/var/lib/cloudlet-agent/state', '--driver', 'fake'],
      ...['--join-file', '/etc/cloudlet-join', '--health-address', '0.0.0.0:9440'],
    ])
    .withCopyContentToContainer([{ content, target: '/etc/cloudlet-join', mode: 0o444 }])
    .withExposedPorts(9440)
    .withHealthCheck({
      ...{ test: ['CMD', 'node', '-e', isReady], interval: 500, timeout: 10_000, retries: 40 },
    })
    .withWaitStrategy(
      Wait.forAll([Wait.forHealthCheck(), Wait.forHttp('/readyz', 9440).forStatusCode(200)]),
    )
    .withStartupTimeout(60_000)
    .start();
}

async function cloudlet(): Promise<Cloudlet> {
  const text = await controlPlane.kubectl(['get', 'cloudlet', site, '-o', 'json']);
  return JSON.parse(text) as Cloudlet;
}

test("the agent's container becomes healthy and its site Ready", { skip }, async () => {
  container = await startAgentContainer();
  await cloudletReady(controlPlane, site);
  const address = `http://${container.getHost()}:${container.getMappedPort(9440)}`;
  const metrics = await (await fetch(`${address}/metrics`)).text();
  assert.match(metrics, /^edge_\w+/m);
  const log = await engine.docker(['logs', container.getId()]);
  assert.doesNotMatch(log, /"level":"(warn|error)"/);
});

test('a container that is started again is the member that it was', { skip }, async () => {
  assert.ok(container);
  const { status: first } = await cloudlet();
  const fingerprints = (status: Cloudlet['status']): unknown =>
    status?.keys?.map(({ fingerprint }) => fingerprint);
  await container.restart();
  await until('another boot of the agent to be connected', 60_000, async () => {
    const { status } = await cloudlet();
    expect(status?.site?.boot !== first?.site?.boot, `the boot is still ${first?.site?.boot}`);
    expect(
      status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      JSON.stringify(status?.conditions),
    );
  });
  assert.deepEqual(fingerprints((await cloudlet()).status), fingerprints(first));
});

test('nothing was pulled, and a container that is stopped leaves nothing', { skip }, async () => {
  assert.ok(container);
  const ours = ['ps', '--all', '--quiet', '--no-trunc', '--filter', 'label=org.testcontainers'];
  assert.equal((await engine.docker(ours)).trim(), container.getId());
  assert.equal(await imagesOf(), imagesBefore);
  await container.stop({ remove: true, removeVolumes: true });
  container = undefined;
  assert.equal((await engine.docker(ours)).trim(), '');
});
