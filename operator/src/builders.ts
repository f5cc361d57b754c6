/** Builders of whole objects for tests: what a test does not care about has a plain value. For tests only. */
import {
  annotations,
  type App,
  type AppInst,
  type AppInstStatus,
  type AppSpec,
  type Cloudlet,
  type CloudletStatus,
  type Cluster,
  type Condition,
  groupVersion,
  type LedgerEntry,
  type ObjectMeta,
} from '@cloudlet/crds';
import type { ControllerRevision, Lease } from './kinds.ts';

export const someTime = '2026-01-01T00:00:00Z';

export const metadata = (name: string, more: Partial<ObjectMeta> = {}): ObjectMeta => ({
  name,
  uid: `uid-${name}`,
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: someTime,
  annotations: { [annotations.instanceId]: `id-${name}` },
  ...more,
});

type Parts<Spec, Status> = {
  readonly name?: string;
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: Partial<Spec>;
  readonly status?: Status;
};

export const anAppSpec = (spec: Partial<AppSpec> = {}): AppSpec => ({
  version: '1.2',
  deployment: 'Docker',
  image: 'shop:1.2',
  ...spec,
});

export const anApp = ({ name = 'web', ...parts }: Parts<AppSpec, App['status']> = {}): App => ({
  apiVersion: groupVersion,
  kind: 'App',
  metadata: metadata(name, { namespace: 'shop', ...parts.metadata }),
  spec: anAppSpec(parts.spec),
  ...(parts.status ? { status: parts.status } : {}),
});

export const anAppInst = ({
  name = 'web',
  ...parts
}: Parts<AppInst['spec'], AppInstStatus> = {}): AppInst => ({
  apiVersion: groupVersion,
  kind: 'AppInst',
  metadata: metadata(name, { namespace: 'shop', ...parts.metadata }),
  spec: { appRef: { name: 'web' }, ...parts.spec },
  ...(parts.status ? { status: parts.status } : {}),
});

export const aRevision = (spec: Partial<AppSpec> = {}, name = 'web-1'): ControllerRevision => ({
  metadata: { name, namespace: 'shop' },
  data: { spec: anAppSpec(spec) },
  revision: 1,
});

export const aCondition = (
  type: string,
  status: Condition['status'],
  reason: string,
  message = '',
): Condition => ({ type, status, reason, message, lastTransitionTime: someTime });

/** A site that is connected and Ready unless told otherwise. */
export const aCloudlet = ({
  name = 'edge1',
  ...parts
}: Parts<Cloudlet['spec'], CloudletStatus> = {}): Cloudlet => ({
  apiVersion: groupVersion,
  kind: 'Cloudlet',
  metadata: metadata(name, parts.metadata),
  spec: { operator: 'op', platform: 'Fake', ...parts.spec },
  status: {
    conditions: [
      aCondition('Connected', 'True', 'Connected'),
      aCondition('PlatformReady', 'True', 'Serving'),
    ],
    ...parts.status,
  },
});

export const aCluster = ({
  name = 'part',
  ...parts
}: Parts<Cluster['spec'], never> = {}): Cluster => ({
  apiVersion: groupVersion,
  kind: 'Cluster',
  metadata: metadata(name, { namespace: 'shop', ...parts.metadata }),
  spec: { cloudletRef: { name: 'edge1' }, deployment: 'Docker', ...parts.spec },
});

export const anEntry = (entry: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id: 'other',
  namespace: 'shop',
  name: 'other',
  sequence: 1,
  ...entry,
});

export const aLease = (name: string, spec: Lease['spec'] = {}, annotated = {}): Lease => ({
  metadata: { name, namespace: 'cloudlet-system', annotations: annotated },
  spec,
});
