/**
 * Why an AppInst is, or would be, where it is: for people who may list Cloudlets and ledgers. The same
 * filters and scores as the operator's own, over objects that the caller read.
 */
import {
  type App,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  type Cluster,
  type Flavor,
} from '@cloudlet/crds';
import { entryOf } from '../ledger/entries.ts';
import { instanceIdOf } from '../plan/render.ts';
import { explainPlacement, type SiteExplanation } from './place.ts';
import { resourcesOf } from './quantity.ts';
import { placementRequest, type SiteView } from './site.ts';

export interface ExplainInput {
  readonly appInst: AppInst;
  readonly app: App;
  /** The one that the AppInst names, else the App; undefined where neither names one. */
  readonly flavor?: Flavor | undefined;
  /** The one that the AppInst names. */
  readonly cluster?: Cluster | undefined;
  readonly cloudlets: readonly Cloudlet[];
  readonly ledgers: readonly CloudletLedger[];
  /** All of the namespace. */
  readonly appInsts: readonly AppInst[];
}

/** Every site that the spec allows, the best first, each with all that stands against it. */
export function explainAppInst(input: ExplainInput): readonly SiteExplanation[] {
  const { appInst, app, flavor, cluster } = input;
  const id = instanceIdOf(appInst) ?? appInst.metadata.uid;
  const resources = flavor && resourcesOf(flavor.spec);
  const sites = candidates(input).map((cloudlet): SiteView => {
    const { name } = cloudlet.metadata;
    const ledger = input.ledgers.find(({ metadata }) => metadata.name === name)?.spec;
    return {
      cloudlet,
      ledger,
      cluster,
      isHere: entryOf(ledger, id) !== undefined,
      sameApp: input.appInsts.filter(
        (other) =>
          other.metadata.uid !== appInst.metadata.uid &&
          other.spec.appRef.name === appInst.spec.appRef.name &&
          other.status?.placement?.cloudlet === name,
      ).length,
    };
  });
  return explainPlacement(placementRequest(appInst, id, app.spec, resources), sites);
}

function candidates({ appInst, cluster, cloudlets }: ExplainInput): readonly Cloudlet[] {
  const { zoneRef, cloudletRef } = appInst.spec;
  if (zoneRef) return cloudlets.filter(({ spec }) => spec.zoneRef?.name === zoneRef.name);
  const name = cluster?.spec.cloudletRef.name ?? cloudletRef?.name;
  return cloudlets.filter(({ metadata }) => metadata.name === name);
}
