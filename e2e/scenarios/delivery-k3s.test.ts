/**
 * The region's chart on K3s, in a container of the user's own Docker, by Testcontainers: pods of the product's
 * image, an agent that joins by a node port, an instance that becomes Ready. Left out where no Docker of the
 * user's answers or K3s cannot be pulled.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { usersEngine } from '../kind/engine.ts';
import { openControlPlane } from '../testbed/index.ts';
import { testLabel } from '../testbed/containers/left.ts';
import { askForImage, whyNoImage } from '../testbed/containers/pulling.ts';
import { testcontainersOn } from '../testbed/containers/testcontainers.ts';
import { helmOf } from '../testbed/helm/helm.ts';
import { productArchive, runRegionStory } from './region-story.ts';

const image = 'rancher/k3s:v1.34.1-k3s1';
/** As e2e/kind/values.yaml gives them. */
const nodePorts = { agents: 30443, enroll: 30444 } as const;

const bed = new AsyncDisposableStack();
let dir: string;
let leftOut: string | undefined;

before(async () => {
  const engine = await usersEngine();
  leftOut = engine
    ? whyNoImage(await askForImage(engine, image, { timeoutMs: 5 * 60_000 }))
    : 'no Docker of yours answers';
  if (leftOut !== undefined) return;
  dir = await mkdtemp(join(tmpdir(), 'k3s-'));
  bed.defer(() => rm(dir, { recursive: true, force: true, maxRetries: 5 }));
});
after(() => bed.disposeAsync());

test(
  'the chart makes a region of K3s, and a site joins it',
  { timeout: 600_000 },
  async (t: TestContext) => {
    if (leftOut !== undefined) return t.skip(`K3s: ${leftOut}`);
    await testcontainersOn({ env: {} });
    const { K3sContainer } = await import('@testcontainers/k3s');
    const k3s = await new K3sContainer(image)
      .withLabels(testLabel)
      .withExposedPorts(nodePorts.agents, nodePorts.enroll)
      .withStartupTimeout(180_000)
      .start();
    bed.defer(async () => void (await k3s.stop({ remove: true, removeVolumes: true })));
    const archive = await productArchive('operator', dir);
    await k3s.copyFilesToContainer([{ source: archive, target: '/tmp/operator.tar' }]);
    const load = ['ctr', '--namespace', 'k8s.io', 'images', 'import', '/tmp/operator.tar'];
    const { exitCode, output } = await k3s.exec(load);
    assert.equal(exitCode, 0, output);
    const kubeconfig = join(dir, 'kubeconfig');
    await writeFile(kubeconfig, k3s.getKubeConfig(), { mode: 0o600 });
    await runRegionStory({
      ...{ dir, controlPlane: await openControlPlane(kubeconfig), helm: await helmOf(kubeconfig) },
      host: k3s.getHost(),
      ports: {
        agents: k3s.getMappedPort(nodePorts.agents),
        enroll: k3s.getMappedPort(nodePorts.enroll),
      },
    });
  },
);
