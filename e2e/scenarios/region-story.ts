/**
 * The shortest story of a region on a cluster with nodes: the chart installed, a site that joins from outside, an
 * instance that becomes Ready, and all of it away again. For any cluster that has the product's image.
 */
import { join } from 'node:path';
import { startAgent } from '@cloudlet/agent/testing';
import { namespaces } from '@cloudlet/crds';
import { ownArchitecture, writeArchive } from '../images/oci.ts';
import { bundleOf, type Product, productImage } from '../images/product.ts';
import { installToReady, release } from '../kind/install.ts';
import { type ControlPlane, expect, until } from '../testbed/index.ts';
import type { Helm } from '../testbed/helm/helm.ts';
import { joinOf } from '../testbed/region/site.ts';

export interface RegionCluster {
  readonly controlPlane: ControlPlane;
  readonly helm: Helm;
  /** Address under which its node ports are reached from here. */
  readonly host: string;
  readonly ports: { readonly agents: number; readonly enroll: number };
  /** For what the story writes. */
  readonly dir: string;
}

const site = 'north';
const apiVersion = 'edge.cloudlet.dev/v1alpha1';

/** An image of the product as a file that engines and containerd take. */
export async function productArchive(product: Product, dir: string): Promise<string> {
  const archive = join(dir, `${product}.tar`);
  await writeArchive([await productImage(await bundleOf(product), ownArchitecture)], archive);
  return archive;
}

export async function runRegionStory(cluster: RegionCluster): Promise<void> {
  const { controlPlane, dir } = cluster;
  await installToReady(cluster);
  const { apply, ready, kubectl } = asAPersonOf(controlPlane);
  await apply('Cloudlet', { name: site }, { operator: 'campus', platform: 'Fake' });
  const agent = startAgent({
    args: [
      ...['--state-dir', join(dir, 'site'), '--driver', 'fake', '--join-file', '-'],
      ...['--health-address', 'off'],
    ],
    input: await joinOf(controlPlane, site),
  });
  try {
    await ready(`cloudlet/${site}`);
    const inDefault = { namespace: 'default' };
    const app = { version: '1', deployment: 'Docker', image: 'web:1' };
    await apply('App', { name: 'web', ...inDefault }, app);
    const instance = { appRef: { name: 'web' }, cloudletRef: { name: site } };
    await apply('AppInst', { name: 'web', ...inDefault }, instance);
    await ready('appinst/web');
    const gone = ['--namespace', 'default', '--timeout=60s'];
    await kubectl(['delete', 'appinst,app', 'web', ...gone], { timeoutMs: 70_000 });
    await kubectl(['delete', 'cloudlet', site, '--timeout=60s'], { timeoutMs: 70_000 });
  } finally {
    await agent.stop();
  }
  await uninstall(cluster);
}

const asAPersonOf = ({ kubectl }: ControlPlane) => ({
  kubectl,
  apply: (kind: string, metadata: object, spec: object): Promise<string> =>
    kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion, kind, metadata, spec }) }),
  ready: (what: string): Promise<string> =>
    kubectl(['wait', what, '--for=condition=Ready', '--timeout=90s'], { timeoutMs: 100_000 }),
});

async function uninstall({ helm, controlPlane: { kubectl } }: RegionCluster): Promise<void> {
  const place = ['--namespace', namespaces.system];
  await helm(['uninstall', release, ...place, '--wait'], { timeoutMs: 120_000 });
  await until('the pods to be gone', 60_000, async () => {
    const left = await kubectl(['get', 'pods', ...place, '-o', 'name']);
    expect(left.trim() === '', left);
  });
}
