/** A region in which all is well, to take from and add to. For tests only. */
import { type Cloudlet, type CloudletLedger, groupVersion, kinds } from '@cloudlet/crds';
import { manifestOf } from '@cloudlet/crds/manifest';
import { flowControlManifests, policyManifests, wallManifests } from '@cloudlet/operator/install';
import type { Lease } from '@cloudlet/runtime/kubernetes';
import { examineRegion, examineSite } from './examine.ts';
import type { CheckResult, Finding } from './finding.ts';
import type { Crd, RegionView } from './view.ts';

export const now = Date.parse('2026-02-01T12:00:00Z');
export const ago = (minutes: number): string => new Date(now - minutes * 60_000).toISOString();

export const aLease = (
  name: string,
  seconds: number,
  holder = 'somebody',
  version = '1.0.0',
): Lease => ({
  metadata: {
    name,
    namespace: 'cloudlet-system',
    annotations: { 'edge.cloudlet.dev/version': version },
  },
  spec: {
    holderIdentity: holder,
    leaseDurationSeconds: 30,
    renewTime: new Date(now - seconds * 1000).toISOString(),
  },
});

export const crds = new Map(
  kinds.map((kind) => {
    const crd = manifestOf(kind) as Crd;
    const status = { conditions: [{ type: 'Established', status: 'True' }] };
    return [crd.metadata.name, { ...crd, status }];
  }),
);

export const installed = new Map(
  Object.entries(
    Object.groupBy(
      [...wallManifests(), ...policyManifests(), ...flowControlManifests()],
      ({ kind }) => kind,
    ),
  ).map(([kind, list = []]) => [kind, new Set(list.map(({ metadata }) => metadata.name))]),
);

/** A region in which all is well. */
export const aView = (parts: Partial<RegionView> = {}): RegionView => ({
  now,
  skewMs: 0,
  pluginVersion: '1.0.0',
  denied: [],
  crds,
  apiService: {
    metadata: { name: 'v1alpha1.access.edge.cloudlet.dev' },
    status: { conditions: [{ type: 'Available', status: 'True' }] },
  },
  installed,
  leases: [
    aLease('cloudlet-operator', 2),
    aLease('hub-a', 5),
    aLease('site-edge1', 10, 'hub-a/boot'),
  ],
  pods: [],
  certificates: [
    { secret: 'cloudlet-hub-tls', notAfter: now + 30 * 86_400_000, authorityNotAfter: undefined },
  ],
  objects: { Cloudlet: [], AppInst: [], CloudletLedger: [] },
  ...parts,
});

export const findingsOf = (results: readonly CheckResult[]): readonly Finding[] =>
  results.flatMap(({ findings }) => findings);
export const told = (results: readonly CheckResult[]): readonly string[] =>
  findingsOf(results).map(({ severity, reason, object }) => `${severity} ${reason}: ${object}`);

export const region = (parts: Partial<RegionView>): readonly string[] =>
  told(examineRegion(aView(parts)));
export const siteResults = (cloudlet: Cloudlet, parts: Partial<RegionView> = {}) =>
  examineSite(cloudlet, aView(parts));
export const site = (cloudlet: Cloudlet, parts: Partial<RegionView> = {}): readonly string[] =>
  told(siteResults(cloudlet, parts));

export const aLedger = (spec: Partial<CloudletLedger['spec']>): CloudletLedger => ({
  apiVersion: groupVersion,
  kind: 'CloudletLedger',
  metadata: { name: 'edge1', uid: '', resourceVersion: '', generation: 1, creationTimestamp: '' },
  spec: { cloudletId: 'id-edge1', sequence: 1, ...spec },
});
