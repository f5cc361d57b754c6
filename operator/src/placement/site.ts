/** What placement looks at: one request, and one view of each site that might take it. */
import type {
  AppInst,
  AppPort,
  AppSpec,
  Cloudlet,
  CloudletLedgerSpec,
  Cluster,
  PlatformName,
} from '@cloudlet/crds';
import type { Resources } from './quantity.ts';

export interface PlacementRequest {
  /** Instance id; empty before there is one. */
  readonly id: string;
  /** Namespace of the AppInst. */
  readonly namespace: string;
  readonly deployment: 'Docker';
  readonly architectures?: readonly string[] | undefined;
  readonly ports: readonly AppPort[];
  readonly replicas: number;
  /** Of one replica; absent where no Flavor is named. */
  readonly resources?: Resources | undefined;
  /**
   * Whether a person named the site, itself or by a Cluster: then it may be one that has not connected yet.
   * Of a zone, sites that cannot be seen are left out.
   */
  readonly isNamed: boolean;
}

export interface SiteView {
  readonly cloudlet: Cloudlet;
  readonly ledger: CloudletLedgerSpec | undefined;
  /** The part of the site that was asked for. */
  readonly cluster?: Cluster | undefined;
  /** Whether the instance is at this site already: then it stays, whatever became of the connection. */
  readonly isHere: boolean;
  /** Instances of the same App at the site, this one aside. */
  readonly sameApp: number;
}

/** Why a site does not take an instance. `message` is for developers and names no site. */
export interface Refusal {
  readonly filter: string;
  readonly message: string;
}

/** Which kinds of deployment a platform runs. */
export const platformDeployments: Readonly<Record<PlatformName, readonly string[]>> = {
  DockerSwarm: ['Docker'],
  Fake: ['Docker'],
};

/** What an AppInst asks of a site, with the revision of its App that is to run. */
export function placementRequest(
  appInst: AppInst,
  id: string,
  spec: AppSpec,
  resources: Resources | undefined,
): PlacementRequest {
  return {
    id,
    namespace: appInst.metadata.namespace ?? '',
    deployment: spec.deployment,
    architectures: spec.architectures,
    ports: spec.ports ?? [],
    replicas: appInst.spec.replicas ?? 1,
    resources,
    isNamed: appInst.spec.zoneRef === undefined,
  };
}

export const clusterName = (cluster: Cluster): string =>
  `${cluster.metadata.namespace ?? ''}/${cluster.metadata.name}`;
