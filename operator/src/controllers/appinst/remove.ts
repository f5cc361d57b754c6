/**
 * Taking an AppInst away: a tombstone at each site that may have it, and the finalizer last.
 *
 * Guarantees: the finalizer stays until every site that may have been sent a plan said that the instance is
 * gone; a site that never was sent one is let go of at once; a site that is gone for good is let go of by the
 * annotation `edge.cloudlet.dev/abandon` alone, and its tombstone stays, so that it cleans up should it come
 * back. Repeating any step is harmless.
 */
import { annotations, type AppInst, finalizers, type LedgerTombstone } from '@cloudlet/crds';
import { NotFoundError, withDeadline } from '@cloudlet/runtime/base';
import {
  confirmRemoval,
  dropTombstone,
  entryOf,
  floorOf,
  retire,
  tombstoneOf,
} from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import type { Region } from '../../region.ts';
import { timestamp } from '../../status.ts';
import { sightOf } from './conditions.ts';
import { type Holding, holdingsOf, rememberPlacement } from './observe.ts';
import { expelOrphans } from './orphans.ts';

export type RemovalProgress =
  | { readonly kind: 'Gone' }
  | {
      readonly kind: 'Waiting';
      readonly message: string;
      /** Whether every site that is waited for is connected, so that it should not take long. */
      readonly isUnderway: boolean;
    };

/** Does what is left to do; `Gone` means that the finalizer may go. */
export async function removeInstance(
  region: Region,
  appInst: AppInst,
  signal: AbortSignal,
): Promise<RemovalProgress> {
  const id = instanceIdOf(appInst);
  if (id === undefined) return { kind: 'Gone' };
  const holdings = await findHoldings(region, id);
  if (isForeignId(region, appInst, id)) return { kind: 'Gone' };
  await expelOrphans(region, id);
  const isAbandoned = annotations.abandon in (appInst.metadata.annotations ?? {});
  const isUnsent = holdings.length > 0 && (await wasNeverSent(region, appInst, signal));
  const left: Holding[] = [];
  for (const holding of holdings) {
    rememberPlacement(region, id, holding.site);
    if (!isAwaited(holding)) continue;
    const tombstone = await bury(region, appInst, holding, isAbandoned);
    if (!tombstone || isAbandoned) continue;
    if (isUnsent || cannotHaveIt(holding) || isConfirmed(appInst, holding.site, tombstone))
      if (await forget(region, holding, id, tombstone, isUnsent || cannotHaveIt(holding))) continue;
    left.push(holding);
  }
  if (left.length > 0) return waitingFor(left);
  return (await isElsewhere(region, id, isAbandoned, signal))
    ? { kind: 'Waiting', message: 'Another site may have it.', isUnderway: true }
    : { kind: 'Gone' };
}

/** Takes the finalizer off; an object that is gone already is what was wanted. */
export async function releaseFinalizer(
  region: Region,
  appInst: AppInst,
  signal: AbortSignal,
): Promise<void> {
  const { name, namespace, resourceVersion, finalizers: held = [] } = appInst.metadata;
  if (!held.includes(finalizers.appinst)) return;
  const rest = held.filter((finalizer) => finalizer !== finalizers.appinst);
  try {
    const written = await region.clients.appInsts.mergePatch(
      name,
      namespace,
      { metadata: { resourceVersion, finalizers: rest } },
      { signal },
    );
    region.appInsts.wrote(written);
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error;
  }
  region.placements.delete(instanceIdOf(appInst) ?? '');
}

/**
 * The ledgers that know the instance. Where the cache has none, the ledgers are read themselves: a write whose
 * answer was lost, or that of a leader before, may be there and not have come by the watch, and with the
 * finalizer gone nobody would ever take it back.
 */
async function findHoldings(region: Region, id: string): Promise<readonly Holding[]> {
  const known = holdingsOf(region, id);
  if (known.length > 0 || region.placements.has(id)) return known;
  for (const { metadata, spec } of await region.ledgers.refreshAll())
    if (entryOf(spec, id) ?? tombstoneOf(spec, id)) rememberPlacement(region, id, metadata.name);
  return holdingsOf(region, id);
}

const seenTimeoutMs = 10_000;

/**
 * Whether a ledger has the instance that was not looked at. Asked when the watch has brought the writes of the
 * removal, and with them all that was written to any ledger before.
 */
async function isElsewhere(
  region: Region,
  id: string,
  isAbandoned: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  const sites = [...(region.placements.get(id) ?? [])];
  const all = (): Promise<unknown> => Promise.all(sites.map((site) => region.ledgers.seen(site)));
  await withDeadline('the watch of the ledgers', seenTimeoutMs, region.clock, all, signal);
  return holdingsOf(region, id).some(
    (holding) => holding.entry ?? (!isAbandoned && isAwaited(holding)),
  );
}

/** An orphan goes in its own time: whatever a site names, no deletion hangs on it. */
const isAwaited = ({ entry, tombstone }: Holding): boolean =>
  entry !== undefined || (tombstone !== undefined && tombstone.reason !== 'Orphaned');

/** An id that a ledger has under another object, which exists and shows it, is not this one's to remove. */
function isForeignId(region: Region, appInst: AppInst, id: string): boolean {
  return holdingsOf(region, id).some(({ entry }) => {
    if (!entry) return false;
    const isOwn =
      entry.namespace === appInst.metadata.namespace && entry.name === appInst.metadata.name;
    const other = region.appInsts.get(`${entry.namespace}/${entry.name}`);
    return !isOwn && other !== undefined && instanceIdOf(other) === id;
  });
}

/**
 * Whether no hub can have sent a plan: none was ever pinned. Asked of the API server itself, since a former
 * leader may have pinned one that the watch has not brought yet; hubs send nothing for an object that is
 * being deleted. What was made again under an id of before was sent in an earlier life, for all we know.
 */
async function wasNeverSent(
  region: Region,
  appInst: AppInst,
  signal: AbortSignal,
): Promise<boolean> {
  if (appInst.status?.rollout || appInst.status?.site) return false;
  if (instanceIdOf(appInst) !== appInst.metadata.uid) return false;
  const { name, namespace } = appInst.metadata;
  try {
    const live = await region.clients.appInsts.get(name, namespace, { signal });
    return !live.status?.rollout && !live.status?.site;
  } catch (error) {
    if (error instanceof NotFoundError) return true;
    throw error;
  }
}

/** A site that does not exist any more, or whose agents never enrolled, has nothing. */
function cannotHaveIt({ cloudlet }: Holding): boolean {
  if (!cloudlet) return true;
  const hasEnrolled =
    (cloudlet.status?.keys ?? []).length > 0 || cloudlet.status?.site !== undefined;
  return !hasEnrolled && sightOf(cloudlet) === 'NeverConnected';
}

/**
 * Whether the site that the instance is placed at reported it as gone. Other sites' sequences do not compare
 * with that report's; they confirm through their Lease.
 */
function isConfirmed(appInst: AppInst, at: string, tombstone: LedgerTombstone): boolean {
  const { site, placement } = appInst.status ?? {};
  return (
    placement?.cloudlet === at &&
    site?.removed === true &&
    site.uid === appInst.metadata.uid &&
    site.placement >= tombstone.sequence
  );
}

/** Plan that the site reported to have, as far as the status is its own. */
function planAt({ metadata, status }: AppInst, site: string): number {
  const isIts = status?.placement?.cloudlet === site && status.site?.uid === metadata.uid;
  return isIts && !status.site?.removed ? (status.site?.placement ?? 0) : 0;
}

/** Makes sure that the site's ledger orders the removal, by a number that the site has not passed yet. */
function bury(
  region: Region,
  appInst: AppInst,
  { site, ledger, tombstone, entry }: Holding,
  isAbandoned: boolean,
): Promise<LedgerTombstone | undefined> {
  const isDone =
    !entry &&
    tombstone &&
    tombstone.sequence >= planAt(appInst, site) &&
    (!isAbandoned || tombstone.reason === 'Abandoned');
  if (isDone) return Promise.resolve(tombstone);
  return region.ledgers.write({ name: site, id: ledger.cloudletId }, (current) => {
    const retired = retire(current, {
      id: instanceIdOf(appInst) ?? '',
      reason: isAbandoned ? 'Abandoned' : 'Deleted',
      deleteVolumes: deletesVolumes(region, appInst),
      since: timestamp(region.clock.now()),
      floor: floorOf(appInst),
    });
    return { ledger: retired.ledger, result: retired.tombstone };
  });
}

/** What the revision that runs says; an App that is gone keeps its volumes. */
export function deletesVolumes(region: Region, appInst: AppInst): boolean {
  const { namespace } = appInst.metadata;
  const name = appInst.status?.rollout?.revision;
  const revision = name && region.informers.revisions.cache.get(`${namespace}/${name}`);
  return revision ? revision.data.spec.volumes?.onDelete === 'Delete' : false;
}

/** Takes the tombstone off the ledger. True if nothing of the instance is left in it. */
function forget(
  region: Region,
  { site, ledger }: Holding,
  id: string,
  tombstone: LedgerTombstone,
  unasked: boolean,
): Promise<boolean> {
  return region.ledgers.write({ name: site, id: ledger.cloudletId }, (current) => {
    const next = unasked
      ? dropTombstone(current, id)
      : confirmRemoval(current, id, tombstone.sequence);
    return { ledger: next, result: !entryOf(next, id) && !tombstoneOf(next, id) };
  });
}

function waitingFor(left: readonly Holding[]): RemovalProgress {
  const unseen = left.filter(({ cloudlet }) => sightOf(cloudlet) !== 'Connected').length;
  return { kind: 'Waiting', message: waitingMessage(unseen), isUnderway: unseen === 0 };
}

function waitingMessage(unseen: number): string {
  if (unseen === 0) return 'The site is removing it.';
  return `${unseen === 1 ? 'A site that has it is' : `${unseen} sites that have it are`} not connected: it is removed when the site is back; annotate it with ${annotations.abandon} if the site is gone for good.`;
}
