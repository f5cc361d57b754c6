/**
 * The shortest story of a region on a cluster with nodes: the chart installed, a site that joins from outside, an
 * instance that becomes Ready, and all of it away again. For any cluster that has the product's image.
 */
import { join } from 'node:path';
import { startAgent } from '@cloudlet/agent/testing';
import { namespaces } from '@cloudlet/crds';
import { ownArchitecture, writeArchive } from '../images/oci.ts';
import { bundleOf, type Product, productImage } from '../images/product.ts';
import { type ControlPlane, expect, repositoryRoot, until } from '../testbed/index.ts';
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

const release = 'region';
const site = 'north';
const apiVersion = 'edge.cloudlet.dev/v1alpha1';

/** An image of the product as a file that engines and containerd take. */
export async function productArchive(product: Product, dir: string): Promise<string> {
  const archive = join(dir, `${product}.tar`);
  await writeArchive([await productImage(await bundleOf(product), ownArchitecture)], archive);
  return archive;
}

export async function runRegionStory(cluster: RegionCluster): Promise<void> {
  const { controlPlane, helm, host, ports, dir } = cluster;
  const { kubectl } = controlPlane;
  const release_ = [release, '--namespace', namespaces.system];
  await helm(
    [
      ...['install', ...release_, '--create-namespace'],
      join(repositoryRoot, 'charts/cloudlet-operator'),
      ...['--values', join(repositoryRoot, 'e2e/kind/values.yaml')],
      ...['--set', `hub.host=${host},hub.port=${ports.agents},enroll.port=${ports.enroll}`],
      ...['--wait', '--timeout', '300s'],
    ],
    { timeoutMs: 310_000 },
  );
  const apply = async (kind: string, metadata: object, spec: object): Promise<void> => {
    const object = { apiVersion, kind, metadata, spec };
    await kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
  };
  const ready = async (what: string): Promise<void> => {
    const wait = ['wait', what, '--for=condition=Ready', '--timeout=90s'];
    await kubectl(wait, { timeoutMs: 100_000 });
  };
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
  await helm(['uninstall', ...release_, '--wait'], { timeoutMs: 120_000 });
  await until('the pods to be gone', 60_000, async () => {
    const left = await kubectl(['get', 'pods', '--namespace', namespaces.system, '-o', 'name']);
    expect(left.trim() === '', left);
  });
}
