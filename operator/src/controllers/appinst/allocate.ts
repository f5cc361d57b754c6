/**
 * Takes what a decision needs: the copy of the secrets, the entry in the site's ledger, and the tombstones of
 * sites that it leaves.
 *
 * Guarantees: the new site is written before the old one is told to remove, so that an instance never ends
 * up nowhere; the filters are asked once more on the ledger as it is in the very write, so that two requests
 * for the last place do not both get it.
 */
import {
  appInstReasons,
  type AppSpec,
  type Cloudlet,
  type LedgerEntry,
  namespaces,
} from '@cloudlet/crds';
import { ConflictError } from '@cloudlet/runtime/base';
import type { SecretObject } from '../../kinds.ts';
import { place, type PlaceResult, retire } from '../../ledger/entries.ts';
import { refusalsOf } from '../../placement/filters.ts';
import type { Region } from '../../region.ts';
import { timestamp } from '../../status.ts';
import { type Decision, siteIdOf } from './desired.ts';
import { type Holding, type Observed, type Problem, rememberPlacement } from './observe.ts';
import { deletesVolumes } from './remove.ts';

export interface Allocation {
  readonly holding?: {
    readonly site: string;
    readonly cloudlet: Cloudlet | undefined;
    readonly entry: LedgerEntry;
  };
  readonly refusal?: Problem;
  /** Of the revision that is rolled out at present. */
  readonly runningSpec?: AppSpec | undefined;
}

type Placing = Extract<Decision, { kind: 'Place' }>;

export async function allocate(
  region: Region,
  observed: Observed,
  decision: Decision,
  signal: AbortSignal,
): Promise<Allocation> {
  if (decision.kind !== 'Place') return presentAllocation(region, observed);
  if (observed.copy) await ensureCopy(region, observed.copy, signal);
  const present = presentAllocation(region, observed);
  const isSettled = observed.holdings.filter(({ entry }) => entry !== undefined).length === 1;
  if (decision.unchanged && isSettled) return present;
  const result = await enter(region, decision);
  if (result.kind === 'PortsExhausted') {
    const message = `No public port is left for '${result.port}'.`;
    const refusal = { reason: appInstReasons.PortsExhausted, message };
    return { ...present, refusal };
  }
  const { cloudlet } = decision.site;
  rememberPlacement(region, observed.id, cloudlet.metadata.name);
  for (const holding of observed.holdings)
    if (holding.entry && holding.site !== cloudlet.metadata.name)
      await leave(region, observed, holding);
  return { holding: { site: cloudlet.metadata.name, cloudlet, entry: result.entry } };
}

/** What it has, where nothing is to be changed. */
function presentAllocation(region: Region, { appInst, holdings }: Observed): Allocation {
  const here = holdings.find(({ entry }) => entry !== undefined);
  const { namespace } = appInst.metadata;
  const name = appInst.status?.rollout?.revision;
  const revision = name && region.informers.revisions.cache.get(`${namespace}/${name}`);
  return {
    runningSpec: revision ? revision.data.spec : undefined,
    ...(here?.entry
      ? { holding: { site: here.site, cloudlet: here.cloudlet, entry: here.entry } }
      : {}),
  };
}

async function enter(region: Region, decision: Placing): Promise<PlaceResult> {
  const { site, placement, request } = decision;
  const { name } = site.cloudlet.metadata;
  return region.ledgers.write({ name, id: siteIdOf(site.cloudlet) }, (ledger) => {
    const [refusal] = refusalsOf(placement, { ...site, ledger });
    if (refusal && !site.isHere)
      throw new ConflictError(`place ${request.namespace}/${request.name}: ${refusal.message}`);
    return place(ledger, request);
  });
}

async function leave(region: Region, observed: Observed, holding: Holding): Promise<void> {
  const site = { name: holding.site, id: holding.ledger.cloudletId };
  await region.ledgers.write(site, (ledger) => ({
    ledger: retire(ledger, {
      id: observed.id,
      reason: 'Moved',
      deleteVolumes: deletesVolumes(region, observed.appInst),
      since: timestamp(observed.now),
      floor: 0,
    }).ledger,
    result: undefined,
  }));
}

/** Copies are immutable and named by their content: one that exists is the right one. */
async function ensureCopy(region: Region, copy: SecretObject, signal: AbortSignal): Promise<void> {
  const { name } = copy.metadata;
  if (region.informers.copies.cache.get(`${namespaces.secrets}/${name}`)) return;
  try {
    await region.clients.secrets.create(copy, { signal });
  } catch (error) {
    if (!(error instanceof ConflictError)) throw error;
  }
}
