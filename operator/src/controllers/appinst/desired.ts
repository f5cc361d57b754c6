/**
 * What an AppInst wants, decided from what was observed. Pure.
 *
 * Guarantees: the checks read as a list, in the order in which a person would mend them; what runs is never
 * moved or changed because of a refusal; who is placed stays, unless the spec names another place or the site
 * of a zone drains and another takes it.
 */
import {
  annotations,
  type AppInst,
  appInstReasons,
  type AppSpec,
  type Cloudlet,
} from '@cloudlet/crds';
import { describeError, TerminalError } from '@cloudlet/runtime/base';
import {
  floorOf,
  inputsHash,
  isBehind,
  type PlaceRequest,
  rememberedPorts,
} from '../../ledger/entries.ts';
import { defaultPortRange } from '../../ledger/ports.ts';
import { decidePlacement } from '../../placement/place.ts';
import { type Resources, resourcesOf, timesReplicas } from '../../placement/quantity.ts';
import {
  clusterName,
  type PlacementRequest,
  placementRequest,
  type SiteView,
} from '../../placement/site.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { checkTemplates, usesTemplate } from '../../plan/templates.ts';
import { conditionOf } from '../../status.ts';
import { addressesOf } from './conditions.ts';
import { flavorNameOf, type Holding, type Observed, type Problem } from './observe.ts';
import { reportState, type Rollout, type RolloutChoice } from './rollout.ts';

/** What the roll-out pins, but for what the ledger decides. */
export type RolloutPin = Omit<Rollout, 'sequence' | 'startedAt'>;

export type Decision =
  /** Leave everything as it is and say why. */
  | { readonly kind: 'Refused'; readonly problem: Problem }
  /** Something that comes by itself is not there yet. */
  | { readonly kind: 'Wait'; readonly afterMs: number; readonly reason: string }
  /** Suspended before it was placed. */
  | { readonly kind: 'Idle' }
  | {
      readonly kind: 'Place';
      readonly site: SiteView;
      readonly placement: PlacementRequest;
      readonly request: PlaceRequest;
      readonly pin: RolloutPin;
      readonly spec: AppSpec;
      /** The ledger says so already. */
      readonly unchanged?: boolean;
    };

export function decide(observed: Observed): Decision {
  const { appInst, choice, revision } = observed;
  const here = observed.holdings.find(({ entry }) => entry !== undefined);
  if (appInst.spec.suspend) return here ? suspended(observed, here) : { kind: 'Idle' };
  if ('reason' in observed.sites && observed.sites.reason === appInstReasons.Progressing)
    return { kind: 'Wait', afterMs: 1_000, reason: observed.sites.message };
  const problem = problemOf(observed);
  if (problem) return { kind: 'Refused', problem };
  if (!choice || !revision) return missingRevision(observed);
  const spec = revision.data.spec;
  const invalid = invalidity(appInst, spec);
  if (invalid) return { kind: 'Refused', problem: invalid };
  const resources = observed.flavor && resourcesOf(observed.flavor.spec);
  const placement = placementRequest(appInst, observed.id, spec, resources);
  const size = { spec, resources, placement, choice };
  const sites = observed.sites as readonly SiteView[];
  const present = sites.find((site) => site.isHere);
  if (present && here && !isLeaving(present.cloudlet, placement)) {
    const stays = placeAt(observed, size, present);
    // What is as it was needs no leave, whatever the site has become since.
    if (stays.kind === 'Place' && isUnchanged(here, stays.request))
      return { ...stays, unchanged: true };
    const fits = decidePlacement(placement, [present]);
    return fits.kind === 'Placed' ? stays : { kind: 'Refused', problem: noSiteFits(fits) };
  }
  const others = sites.filter((site) => site !== present);
  const decision = decidePlacement(placement, others);
  if (decision.kind === 'Placed') return placeAt(observed, size, decision.site);
  // Nobody takes it from a draining site: it stays until somebody does.
  if (present) return placeAt(observed, size, present);
  return { kind: 'Refused', problem: noSiteFits(decision) };
}

interface Size {
  readonly spec: AppSpec;
  readonly resources: Resources | undefined;
  readonly placement: PlacementRequest;
  readonly choice: RolloutChoice;
}

function placeAt(observed: Observed, size: Size, site: SiteView): Decision {
  const { appInst } = observed;
  const { spec, resources, placement, choice } = size;
  const usesHost = usesTemplate('uri', spec, appInst.spec.env);
  const host = usesHost ? addressesOf(site.cloudlet)[0] : undefined;
  if (usesHost && host === undefined) return { kind: 'Refused', problem: addressUnknown };
  const pin: RolloutPin = {
    ...choice,
    generation: appInst.metadata.generation,
    ...(observed.copy ? { secret: observed.copy.metadata.name } : {}),
    ...(host === undefined ? {} : { host }),
    ...(site.cluster?.spec.nodeLabels ? { nodeLabels: site.cluster.spec.nodeLabels } : {}),
    ...networksOf(site),
    ...hostPathsOf(site, spec),
    ...(resources ? { resources } : {}),
  };
  const request = ledgerRequest(observed, { site, spec, pin, resources });
  return { kind: 'Place', site, placement, spec, pin, request };
}

function networksOf({ cluster, cloudlet }: SiteView): Pick<RolloutPin, 'overlayEncrypted'> {
  const ofSite = cloudlet.spec.dockerSwarm?.overlayEncrypted;
  return (cluster?.spec.networks?.encrypted ?? ofSite) ? { overlayEncrypted: true } : {};
}

/** Only compose files mount folders of nodes. */
function hostPathsOf({ cloudlet }: SiteView, spec: AppSpec): Pick<RolloutPin, 'hostPaths'> {
  const { hostPaths = [] } = cloudlet.spec.dockerSwarm ?? {};
  return spec.compose === undefined || hostPaths.length === 0 ? {} : { hostPaths };
}

/** Whether the ledger has the very entry already, with nothing left to let go of. */
const isUnchanged = ({ entry, tombstone }: Holding, request: PlaceRequest): boolean =>
  entry !== undefined &&
  tombstone === undefined &&
  entry.releasing === undefined &&
  !isBehind(entry, request) &&
  entry.cluster === request.cluster &&
  entry.inputs === inputsHash(request, entry.ports ?? []);

const addressUnknown: Problem = {
  reason: appInstReasons.WaitingForSite,
  message: '{{uri}} is used, and the site has not said yet which addresses it has.',
};

/** A revision is written by the App's controller, in the moment after the App; one named by hand may be gone. */
function missingRevision({ appInst, choice }: Observed): Decision {
  const named = appInst.spec.rolloutRevision;
  if (named === undefined || choice?.revision !== named)
    return { kind: 'Wait', afterMs: 5_000, reason: 'the revision of the App is not written yet' };
  const message = `spec.rolloutRevision: there is no revision '${named}' of the App.`;
  return { kind: 'Refused', problem: { reason: appInstReasons.InvalidSpec, message } };
}

function problemOf(observed: Observed): Problem | undefined {
  const { appInst, app, sites, flavor, revision } = observed;
  if (!app) {
    const message = `spec.appRef: there is no App '${appInst.spec.appRef.name}' in this namespace.`;
    return { reason: appInstReasons.AppNotFound, message };
  }
  if ('reason' in sites) return sites;
  const flavorName = flavorNameOf(appInst, revision?.data.spec);
  if (flavorName !== undefined && !flavor) {
    const message = `There is no Flavor '${flavorName}'.`;
    return { reason: appInstReasons.FlavorNotFound, message };
  }
  return observed.problem;
}

function invalidity(appInst: AppInst, spec: AppSpec): Problem | undefined {
  if (spec.compose !== undefined && appInst.spec.replicas !== undefined) {
    const message =
      'spec.replicas: the App is a compose file, which says itself how many there are.';
    return { reason: appInstReasons.InvalidSpec, message };
  }
  const texts = (appInst.spec.env ?? []).map(
    ({ name, value }) => [`spec.env[${name}].value`, value] as const,
  );
  try {
    checkTemplates(spec);
    checkTemplates(spec, texts);
    return undefined;
  } catch (error) {
    if (!(error instanceof TerminalError)) throw error;
    return { reason: error.reason, message: describeError(error) };
  }
}

/** A site of a zone that drains gives its instances to the others; one that a person named does not. */
const isLeaving = (cloudlet: Cloudlet, request: PlacementRequest): boolean =>
  !request.isNamed && cloudlet.spec.maintenance === 'Drain';

/** Filters whose refusal has a reason of its own. */
const filterReasons: Readonly<Record<string, string>> = {
  Namespace: appInstReasons.NamespaceNotAllowed,
  Ports: appInstReasons.PortsExhausted,
};

const noSiteFits = ({ message, filter = '' }: { message: string; filter?: string }): Problem => ({
  reason: filterReasons[filter] ?? appInstReasons.NoSiteFits,
  message: `${message.charAt(0).toUpperCase()}${message.slice(1)}.`,
});

interface Chosen {
  readonly site: SiteView;
  readonly spec: AppSpec;
  readonly pin: RolloutPin;
  readonly resources: Resources | undefined;
}

function ledgerRequest(observed: Observed, chosen: Chosen): PlaceRequest {
  const { appInst, id, holdings } = observed;
  const { site, spec, pin, resources } = chosen;
  const { metadata } = appInst;
  const cluster = site.cluster && clusterName(site.cluster);
  const { available: _a, lastHealthy: _l, failed: _f, failedMessage: _m, ...inputs } = pin;
  return {
    id,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    ...(cluster === undefined ? {} : { cluster }),
    inputs: {
      ...inputs,
      uid: metadata.uid,
      cluster,
      adopt: metadata.annotations?.[annotations.adoptStack],
    },
    resources: timesReplicas(resources ?? {}, appInst.spec.replicas ?? 1),
    ports: spec.ports ?? [],
    range: site.cloudlet.spec.loadBalancer?.portRange ?? defaultPortRange,
    floor: Math.max(
      floorOf(appInst),
      ...holdings.map(({ entry, tombstone }) =>
        Math.max(entry?.sequence ?? 0, tombstone?.sequence ?? 0),
      ),
    ),
    remembered:
      appInst.status?.placement?.cloudlet === site.cloudlet.metadata.name
        ? rememberedPorts(appInst)
        : [],
    acknowledged: acknowledgedSequence(appInst),
    reported: reportedSequence(appInst),
  };
}

/**
 * The sequence that reports must not fall behind. A site follows no plan of the number by which it removed the
 * instance, as a restored region may give it again: the entry has to get past that one.
 */
function reportedSequence({ metadata, status }: AppInst): number {
  const site = status?.site;
  if (site?.uid !== metadata.uid) return 0;
  return site.placement + (site.removed ? 1 : 0);
}

/** The highest sequence that the site says it runs. */
function acknowledgedSequence(appInst: AppInst): number {
  if (reportState(appInst) === 'none') return 0;
  const isDeployed = conditionOf(appInst, 'Deployed')?.status === 'True';
  return isDeployed ? (appInst.status?.site?.placement ?? 0) : 0;
}

/** What is pinned stays pinned; only the site is told to leave it alone. */
function suspended(observed: Observed, here: Holding): Decision {
  const { appInst, revision, choice } = observed;
  const previous = appInst.status?.rollout;
  if (!previous || !here.cloudlet || !revision || !choice)
    return { kind: 'Wait', afterMs: 60_000, reason: 'it is suspended' };
  const { sequence: _s, startedAt: _t, ...pinned } = previous;
  const spec = revision.data.spec;
  const pin: RolloutPin = { ...pinned, generation: appInst.metadata.generation };
  const site: SiteView = {
    cloudlet: here.cloudlet,
    ledger: here.ledger,
    cluster: observed.cluster,
    isHere: true,
    sameApp: 0,
  };
  const request = ledgerRequest(observed, { site, spec, pin, resources: pinned.resources });
  return {
    kind: 'Place',
    site,
    placement: placementRequest(appInst, observed.id, spec, pinned.resources),
    spec,
    pin,
    request: {
      ...request,
      ...(here.entry?.cluster === undefined ? {} : { cluster: here.entry.cluster }),
      resources: reservedBy(here),
    },
  };
}

function reservedBy({ entry }: Holding): Resources {
  return {
    ...(entry?.cpuMillis === undefined ? {} : { cpuMillis: entry.cpuMillis }),
    ...(entry?.memoryBytes === undefined ? {} : { memoryBytes: entry.memoryBytes }),
    ...(entry?.diskBytes === undefined ? {} : { diskBytes: entry.diskBytes }),
  };
}

/** Instance id of a site. */
export const siteIdOf = (cloudlet: Cloudlet): string => instanceIdOf(cloudlet) ?? '';
