/** The region's chart on a cluster of kind: installed, and ready in the sense of who waits for it. */
import { join } from 'node:path';
import { namespaces } from '@cloudlet/crds';
import { repositoryRoot } from '../testbed/index.ts';
import type { KindBed } from './bed.ts';

export const release = 'region';
export const chart = (name: string): string => join(repositoryRoot, 'charts', name);
export const deployments = ['operator', 'hub', 'access'].map(
  (name) => `deployment/cloudlet-${name}`,
);

type Region = Pick<KindBed, 'helm' | 'controlPlane' | 'host' | 'ports'>;

/** A version of the region. */
export interface Version {
  /** Folder of its chart. */
  readonly chart: string;
  /** Tag of its image. @default the chart's version */
  readonly tag?: string;
}

/** What the repository holds. */
const present: Version = { chart: chart('cloudlet-operator') };

/** Arguments of `helm install` and `helm upgrade` of the region's chart. */
export const chartArguments = (
  { host, ports }: Region,
  version: Version = present,
): readonly string[] => [
  ...[release, version.chart, '--namespace', namespaces.system],
  ...['--values', join(import.meta.dirname, 'values.yaml')],
  ...['--set', `hub.host=${host},hub.port=${ports.agents},enroll.port=${ports.enroll}`],
  ...(version.tag === undefined ? [] : ['--set', `image.tag=${version.tag}`]),
];

/**
 * Installs the chart, and waits until all its pods are Ready and the API server passes on to the access server.
 * @returns the seconds that both took.
 */
export async function installToReady(region: Region, version?: Version): Promise<number> {
  const startedMs = performance.now();
  await region.helm(['install', ...chartArguments(region, version), '--create-namespace']);
  await regionReady(region);
  return (performance.now() - startedMs) / 1000;
}

/** All replicas of the newest revision are Ready, and the API of sessions is served. */
export async function regionReady({ controlPlane: { kubectl } }: Region): Promise<void> {
  const options = { timeoutMs: 310_000 };
  for (const name of deployments)
    await kubectl(['rollout', 'status', name, '-n', namespaces.system, '--timeout=300s'], options);
  const available = ['wait', '--for=condition=Available', '--timeout=60s'];
  await kubectl([...available, 'apiservice/v1alpha1.access.edge.cloudlet.dev'], options);
}
