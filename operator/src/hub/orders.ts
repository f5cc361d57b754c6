/**
 * What one site shall do about one instance, and what of it the site has to be told. Pure.
 *
 * Guarantees: the ledger decides what is at a site, never the absence of an object: without an entry or a
 * tombstone nothing is ordered, and what the site has is its orphan. A plan is given only when ledger,
 * AppInst, revision and secrets are all there and agree on the sequence; until then it is held back.
 */
import {
  type AppInst,
  type CloudletLedger,
  type LedgerEntry,
  type LedgerTombstone,
  type Plan,
  type Removal,
} from '@cloudlet/crds';
import { WaitingError } from '@cloudlet/runtime/base';
import type { Have } from '@cloudlet/tunnel';
import type { ControllerRevision, SecretObject } from '../kinds.ts';
import type { RenderInput } from '../plan/render.ts';

export type Order =
  | { readonly kind: 'plan'; readonly plan: Plan; readonly hash: string }
  | { readonly kind: 'remove'; readonly removal: Removal }
  /** The region knows the instance at this site and has nothing to say yet. */
  | { readonly kind: 'hold'; readonly reason: string }
  /** Neither placed nor to be removed here. */
  | { readonly kind: 'unknown' };

/** What the hub's caches hold about one instance at one site. */
export interface InstanceView {
  readonly site: string;
  readonly entry?: LedgerEntry | undefined;
  readonly tombstone?: LedgerTombstone | undefined;
  readonly appInst?: AppInst | undefined;
  readonly revision?: ControllerRevision | undefined;
  readonly secret?: SecretObject | undefined;
}

/** The plan and the hash that it travels under. @throws WaitingError while an input is missing. */
export type Render = (input: RenderInput) => { readonly plan: Plan; readonly hash: string };

const hold = (reason: string): Order => ({ kind: 'hold', reason });

export function orderOf(view: InstanceView, render: Render): Order {
  const { entry, tombstone } = view;
  if (tombstone && (!entry || tombstone.sequence > entry.sequence))
    return { kind: 'remove', removal: removalOf(tombstone) };
  if (!entry) return { kind: 'unknown' };
  const inputs = inputsOf(view, entry);
  if (typeof inputs === 'string') return hold(inputs);
  try {
    return { kind: 'plan', ...render(inputs) };
  } catch (error) {
    if (error instanceof WaitingError) return hold(error.message);
    throw error;
  }
}

/** The inputs of the plan, or why they are not whole yet. */
function inputsOf(view: InstanceView, entry: LedgerEntry): RenderInput | string {
  const { appInst, revision, secret } = view;
  if (!appInst) return 'the AppInst is not in the cache';
  if (appInst.metadata.deletionTimestamp) return 'the AppInst is being deleted';
  if (appInst.status?.placement?.cloudlet !== view.site) return 'the AppInst is not placed here';
  const rollout = appInst.status.rollout;
  if (!rollout || rollout.generation !== appInst.metadata.generation)
    return 'the operator has not acted on this generation';
  if (rollout.sequence !== entry.sequence) return 'ledger and AppInst differ in sequence';
  if (!revision) return `revision ${rollout.revision} is not in the cache`;
  if (rollout.secret && !secret) return `the copy of its secrets is not in the cache`;
  return { appInst, revision, secret };
}

function removalOf(tombstone: LedgerTombstone): Removal {
  const { id, sequence, deleteVolumes } = tombstone;
  return { id, sequence, ...(deleteVolumes ? { deleteVolumes } : {}) };
}

/** What the site was told or said of one instance. */
export type Known = Pick<Have, 'sequence' | 'hash' | 'removed'>;

export type Difference =
  | 'plan'
  | 'remove'
  | 'forget'
  | 'orphan'
  /** The site carried out the removal already: it only has to be put on record. */
  | 'removed'
  /** The site has a later plan than the region knows, as after a restore of the region. */
  | 'ahead'
  | 'none';

/** What to do so that a site that has `known` follows `order`. */
export function differenceOf(order: Order, known: Known | undefined): Difference {
  switch (order.kind) {
    case 'hold':
      return 'none';
    case 'unknown':
      if (!known) return 'none';
      return known.removed ? 'forget' : 'orphan';
    case 'remove':
      if (!known || known.sequence < order.removal.sequence) return 'remove';
      if (known.removed) return 'removed';
      return known.sequence > order.removal.sequence ? 'ahead' : 'remove';
    case 'plan':
      if (known && known.sequence > order.plan.sequence) return 'ahead';
      // By that very number the site removed it: a restored region gave it once more.
      if (known?.removed && known.sequence === order.plan.sequence) return 'ahead';
      if (!known || known.removed) return 'plan';
      return known.hash === order.hash && known.sequence === order.plan.sequence ? 'none' : 'plan';
  }
}

/** Ledger lookups by id; made once for each version of a ledger. */
export interface LedgerIndex {
  readonly entries: ReadonlyMap<string, LedgerEntry>;
  readonly tombstones: ReadonlyMap<string, LedgerTombstone>;
}

const emptyIndex: LedgerIndex = { entries: new Map(), tombstones: new Map() };
const indexes = new WeakMap<CloudletLedger, LedgerIndex>();

export function ledgerIndex(ledger: CloudletLedger | undefined): LedgerIndex {
  if (!ledger) return emptyIndex;
  const known = indexes.get(ledger);
  if (known) return known;
  const index = {
    entries: new Map((ledger.spec.entries ?? []).map((entry) => [entry.id, entry])),
    tombstones: new Map((ledger.spec.tombstones ?? []).map((entry) => [entry.id, entry])),
  };
  indexes.set(ledger, index);
  return index;
}

/** Ids whose entry or tombstone differs between two versions of a ledger. */
export function changedIds(
  before: CloudletLedger | undefined,
  after: CloudletLedger | undefined,
): ReadonlySet<string> {
  const [old, now] = [ledgerIndex(before), ledgerIndex(after)];
  const ids = new Set<string>();
  for (const side of ['entries', 'tombstones'] as const) {
    for (const [id, item] of now[side])
      if (old[side].get(id)?.sequence !== item.sequence) ids.add(id);
    for (const id of old[side].keys()) if (!now[side].has(id)) ids.add(id);
  }
  return ids;
}
