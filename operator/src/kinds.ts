/**
 * Where each kind that the region's processes touch lives in the API, and the shape of those that are not
 * ours. Knows no client: a ResourceType is a value.
 */
import {
  type App,
  type AppInst,
  type AppSpec,
  apiGroup,
  apiVersion,
  type Cloudlet,
  type CloudletLedger,
  type Cluster,
  type Flavor,
  kinds,
  type Zone,
} from '@cloudlet/crds';
import type { KubernetesObject, ResourceType } from '@cloudlet/runtime/kubernetes';

/** Our kinds by name, as their clients and informers see them. */
export interface OurKinds {
  readonly Zone: Zone;
  readonly Flavor: Flavor;
  readonly Cloudlet: Cloudlet;
  readonly CloudletLedger: CloudletLedger;
  readonly Cluster: Cluster;
  readonly App: App;
  readonly AppInst: AppInst;
}

/** The ResourceType of each of our kinds. */
export const resourceTypes = Object.fromEntries(
  kinds.map(({ kind, plural, scope }) => [
    kind,
    { group: apiGroup, version: apiVersion, plural, kind, namespaced: scope === 'Namespaced' },
  ]),
) as Readonly<Record<keyof OurKinds, ResourceType>>;

/** `apps/v1`: one immutable state of an App's spec. */
export interface ControllerRevision extends KubernetesObject {
  readonly data: { readonly spec: AppSpec };
  readonly revision: number;
}
export const controllerRevisionType: ResourceType = {
  group: 'apps',
  version: 'v1',
  plural: 'controllerrevisions',
  kind: 'ControllerRevision',
  namespaced: true,
};

export interface SecretObject extends KubernetesObject {
  readonly type?: string;
  readonly immutable?: boolean;
  /** Values are base64. */
  readonly data?: Readonly<Record<string, string>>;
}
export const secretType: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'secrets',
  kind: 'Secret',
  namespaced: true,
};

export interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string | null;
    readonly leaseDurationSeconds?: number | null;
    /** With microseconds. */
    readonly acquireTime?: string | null;
    readonly renewTime?: string | null;
    readonly leaseTransitions?: number | null;
  };
}
export const leaseType: ResourceType = {
  group: 'coordination.k8s.io',
  version: 'v1',
  plural: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export interface CertificateSigningRequest extends KubernetesObject {
  readonly spec: {
    /** Base64 of the PEM. */
    readonly request: string;
    readonly signerName: string;
    readonly usages: readonly string[];
    readonly username?: string;
    readonly expirationSeconds?: number;
  };
  readonly status?: {
    /** Base64 of the PEM. */
    readonly certificate?: string;
    readonly conditions?: readonly {
      readonly type: 'Approved' | 'Denied' | 'Failed';
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
      readonly lastUpdateTime?: string;
      readonly lastTransitionTime?: string;
    }[];
  };
}
export const certificateSigningRequestType: ResourceType = {
  group: 'certificates.k8s.io',
  version: 'v1',
  plural: 'certificatesigningrequests',
  kind: 'CertificateSigningRequest',
  namespaced: false,
};

export interface NamespaceObject extends KubernetesObject {
  readonly status?: { readonly phase?: string };
}
export const namespaceType: ResourceType = {
  group: '',
  version: 'v1',
  plural: 'namespaces',
  kind: 'Namespace',
  namespaced: false,
};
