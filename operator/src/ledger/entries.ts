/**
 * The arithmetic of a ledger, pure: each function takes a ledger's spec and gives the next one.
 *
 * Guarantees: a sequence that was given out is never given out again, and each that an instance gets is
 * higher than every one it had before, at any site; a port of an instance stays taken until the site said
 * that it is gone, or that it runs a plan without it; nothing is dropped that was not named.
 */
import type {
  AppInst,
  AppPort,
  CloudletLedgerSpec,
  LedgerEntry,
  LedgerPort,
  LedgerTombstone,
  SiteOrphan,
} from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import type { Resources } from '../placement/quantity.ts';
import { allocatePorts, countOf, type PortRange, transportOf } from './ports.ts';

export const emptyLedger = (cloudletId: string): CloudletLedgerSpec => ({
  cloudletId,
  sequence: 0,
});

export const entryOf = (ledger: CloudletLedgerSpec | undefined, id: string) =>
  ledger?.entries?.find((entry) => entry.id === id);

export const tombstoneOf = (ledger: CloudletLedgerSpec | undefined, id: string) =>
  ledger?.tombstones?.find((tombstone) => tombstone.id === id);

/** What the instances of a site, or of one Cluster of it, reserve together. */
export interface Usage {
  readonly instances: number;
  readonly cpuMillis: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

export function usageOf(
  ledger: CloudletLedgerSpec | undefined,
  options: { readonly exceptId?: string; readonly cluster?: string } = {},
): Usage {
  const usage = { instances: 0, cpuMillis: 0, memoryBytes: 0, diskBytes: 0 };
  for (const entry of ledger?.entries ?? []) {
    if (entry.id === options.exceptId) continue;
    if (options.cluster !== undefined && entry.cluster !== options.cluster) continue;
    usage.instances++;
    usage.cpuMillis += entry.cpuMillis ?? 0;
    usage.memoryBytes += entry.memoryBytes ?? 0;
    usage.diskBytes += entry.diskBytes ?? 0;
  }
  return usage;
}

/** Every port that an instance other than `id` holds, also those of removals under way. */
export function portsTakenBy(
  ledger: CloudletLedgerSpec | undefined,
  exceptId?: string,
): readonly LedgerPort[] {
  const others = <T extends { readonly id: string }>(list: readonly T[] | undefined) =>
    (list ?? []).filter((item) => item.id !== exceptId);
  return [
    ...others(ledger?.entries).flatMap((entry) => [
      ...(entry.ports ?? []),
      ...(entry.releasing ?? []),
    ]),
    ...others(ledger?.tombstones).flatMap((tombstone) => tombstone.ports ?? []),
  ];
}

export interface PlaceRequest {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly cluster?: string;
  /** What the plan is made of, but for ports and sequence. */
  readonly inputs: unknown;
  /** Of all replicas together. */
  readonly resources: Resources;
  readonly ports: readonly AppPort[];
  readonly range: PortRange;
  /** Highest sequence that any plan of the instance had, at any site. */
  readonly floor: number;
  /** Ports that its status names; kept where the ledger knows nothing of the instance. */
  readonly remembered?: readonly LedgerPort[];
  /** Highest sequence that the site says it runs. */
  readonly acknowledged?: number;
  /** Sequence of the last report on record, whatever it said of it. */
  readonly reported?: number;
}

export type PlaceResult =
  | { readonly kind: 'Placed'; readonly entry: LedgerEntry }
  | { readonly kind: 'PortsExhausted'; readonly port: string };

/** Whether the region knows less than the site said. */
export const isBehind = (
  { sequence }: Pick<LedgerEntry, 'sequence'>,
  { reported = 0 }: Pick<PlaceRequest, 'reported'>,
): boolean => reported > sequence;

/**
 * Writes down an instance, or what changed of it. Gives the same ledger back when nothing did. An entry that is
 * older than what was reported gets a later sequence: the site would take it for old news, and its reports
 * would be refused. It is so after a restore of the region, and when the site that an instance left reports
 * the removal before the placement is on record.
 */
export function place(
  ledger: CloudletLedgerSpec,
  request: PlaceRequest,
): { readonly ledger: CloudletLedgerSpec; readonly result: PlaceResult } {
  const previous = entryOf(ledger, request.id);
  const tombstone = tombstoneOf(ledger, request.id);
  const held = previous
    ? [...(previous.ports ?? []), ...(previous.releasing ?? [])]
    : [...(tombstone?.ports ?? []), ...(request.remembered ?? [])];
  const grant = allocatePorts({
    id: request.id,
    wanted: request.ports,
    held,
    taken: portsTakenBy(ledger, request.id),
    range: request.range,
  });
  if (grant.kind === 'Exhausted')
    return { ledger, result: { kind: 'PortsExhausted', port: grant.port } };
  const inputs = inputsHash(request, grant.ports);
  const isChanged = previous?.inputs !== inputs || isBehind(previous, request);
  const sequence = isChanged
    ? Math.max(ledger.sequence, request.floor, tombstone?.sequence ?? 0) + 1
    : previous.sequence;
  const owned = previous || tombstone ? held : [];
  const entry: LedgerEntry = {
    id: request.id,
    namespace: request.namespace,
    name: request.name,
    ...(request.cluster === undefined ? {} : { cluster: request.cluster }),
    sequence,
    inputs,
    ...request.resources,
    ...(grant.ports.length === 0 ? {} : { ports: [...grant.ports] }),
    ...releasingOf(owned, grant.ports, sequence, request.acknowledged ?? 0),
  };
  return {
    ledger: withEntry(ledger, entry),
    result: { kind: 'Placed', entry },
  };
}

/** What an entry is compared by: all that its plan is made of. */
export const inputsHash = (
  { inputs, resources }: Pick<PlaceRequest, 'inputs' | 'resources'>,
  ports: readonly LedgerPort[],
): string => contentHash({ inputs, resources, ports }, 32);

/** Ports held until the site runs a plan without them. */
function releasingOf(
  held: readonly LedgerPort[],
  granted: readonly LedgerPort[],
  sequence: number,
  acknowledged: number,
): { releasing?: LedgerPort[] } {
  if (acknowledged >= sequence) return {};
  const isKept = (old: LedgerPort): boolean =>
    granted.some(
      (port) =>
        port.protocol === old.protocol &&
        port.publicPort <= old.publicPort &&
        old.publicPort + (old.count ?? 1) <= port.publicPort + (port.count ?? 1),
    );
  const releasing = held.filter((port) => !isKept(port)).slice(0, 200);
  return releasing.length === 0 ? {} : { releasing };
}

function withEntry(ledger: CloudletLedgerSpec, entry: LedgerEntry): CloudletLedgerSpec {
  const present = entryOf(ledger, entry.id);
  if (present && !tombstoneOf(ledger, entry.id) && contentHash(present) === contentHash(entry))
    return ledger;
  const entries = ledger.entries ?? [];
  return withLists(ledger, {
    sequence: Math.max(ledger.sequence, entry.sequence),
    entries: present
      ? entries.map((other) => (other.id === entry.id ? entry : other))
      : [...entries, entry],
    // The plan is newer than the removal: a site that still has the instance keeps it.
    tombstones: (ledger.tombstones ?? []).filter((tombstone) => tombstone.id !== entry.id),
  });
}

export interface RetireRequest {
  readonly id: string;
  readonly reason: LedgerTombstone['reason'];
  readonly deleteVolumes?: boolean;
  readonly since: string;
  readonly floor: number;
}

/** Turns an entry into a tombstone: the order to the site to remove the instance. */
export function retire(
  ledger: CloudletLedgerSpec,
  request: RetireRequest,
): { readonly ledger: CloudletLedgerSpec; readonly tombstone: LedgerTombstone | undefined } {
  const entry = entryOf(ledger, request.id);
  const existing = tombstoneOf(ledger, request.id);
  if (!entry) return retireAgain(ledger, existing, request);
  const sequence = Math.max(ledger.sequence, request.floor) + 1;
  const ports = [...(entry.ports ?? []), ...(entry.releasing ?? [])].slice(0, 200);
  const tombstone: LedgerTombstone = {
    id: request.id,
    sequence,
    reason: request.reason,
    ...(request.deleteVolumes ? { deleteVolumes: true } : {}),
    since: request.since,
    ...(ports.length === 0 ? {} : { ports: uniqueNames(ports) }),
  };
  return {
    ledger: withLists(ledger, {
      sequence,
      entries: (ledger.entries ?? []).filter((other) => other.id !== request.id),
      tombstones: [...(ledger.tombstones ?? []).filter(({ id }) => id !== request.id), tombstone],
    }),
    tombstone,
  };
}

/**
 * A tombstone that is there already changes its reason only from a removal to an abandonment, and its sequence
 * only when the site has a later plan than the region knew of, as after a restore: it follows none that is older.
 */
function retireAgain(
  ledger: CloudletLedgerSpec,
  existing: LedgerTombstone | undefined,
  request: RetireRequest,
): { readonly ledger: CloudletLedgerSpec; readonly tombstone: LedgerTombstone | undefined } {
  if (!existing) return { ledger, tombstone: undefined };
  const isBehindSite = request.floor > existing.sequence;
  const isLetGo = request.reason === 'Abandoned' && existing.reason !== 'Abandoned';
  if (!isBehindSite && !isLetGo) return { ledger, tombstone: existing };
  const sequence = isBehindSite ? Math.max(ledger.sequence, request.floor) + 1 : existing.sequence;
  const reason = isLetGo ? request.reason : existing.reason;
  const tombstone = { ...existing, reason, sequence };
  const tombstones = (ledger.tombstones ?? []).map((other) =>
    other.id === existing.id ? tombstone : other,
  );
  const last = Math.max(ledger.sequence, sequence);
  return { ledger: withLists(ledger, { sequence: last, tombstones }), tombstone };
}

/** Where a site has so many removals before it, no orphan is added: a site may name what it likes. */
const mostRemovals = 1000;

/**
 * Orders the removal of what a site told of as its orphan, by a number that it is not past; gives the same ledger
 * back where the instance is placed there after all, or the order stands. Volumes stay: what they hold may be
 * newer than all that a restored region knows.
 */
export function expel(
  ledger: CloudletLedgerSpec,
  { id, sequence: has = 0 }: SiteOrphan,
  since: string,
): CloudletLedgerSpec {
  const existing = tombstoneOf(ledger, id);
  const tombstones = ledger.tombstones ?? [];
  if (entryOf(ledger, id) || (existing && existing.sequence > has)) return ledger;
  if (!existing && tombstones.length >= mostRemovals) return ledger;
  const sequence = Math.max(ledger.sequence, has) + 1;
  const tombstone = existing
    ? { ...existing, sequence }
    : { id, sequence, reason: 'Orphaned' as const, since };
  return withLists(ledger, {
    sequence,
    tombstones: [...tombstones.filter((other) => other.id !== id), tombstone],
  });
}

/** Port names are the key of the list; those of former ports may repeat. */
function uniqueNames(ports: readonly LedgerPort[]): LedgerPort[] {
  const seen = new Set<string>();
  return ports.map((port, index) => {
    const name = seen.has(port.name) ? `+${index}` : port.name;
    seen.add(name);
    return { ...port, name };
  });
}

/** The site said that it removed the instance by an order at least as new as the tombstone. */
export function confirmRemoval(
  ledger: CloudletLedgerSpec,
  id: string,
  sequence: number,
): CloudletLedgerSpec {
  const tombstone = tombstoneOf(ledger, id);
  return tombstone && sequence >= tombstone.sequence ? dropTombstone(ledger, id) : ledger;
}

/** Lets go of a tombstone unasked: nothing of the instance can be at the site. */
export function dropTombstone(ledger: CloudletLedgerSpec, id: string): CloudletLedgerSpec {
  if (!tombstoneOf(ledger, id)) return ledger;
  return withLists(ledger, {
    tombstones: (ledger.tombstones ?? []).filter((tombstone) => tombstone.id !== id),
  });
}

function withLists(
  ledger: CloudletLedgerSpec,
  change: {
    sequence?: number;
    entries?: readonly LedgerEntry[];
    tombstones?: readonly LedgerTombstone[];
  },
): CloudletLedgerSpec {
  const entries = change.entries ?? ledger.entries ?? [];
  const tombstones = change.tombstones ?? ledger.tombstones ?? [];
  return {
    cloudletId: ledger.cloudletId,
    sequence: change.sequence ?? ledger.sequence,
    ...(entries.length === 0 ? {} : { entries: [...entries] }),
    ...(tombstones.length === 0 ? {} : { tombstones: [...tombstones] }),
  };
}

/** The highest sequence that any plan of an AppInst is known to have had. */
export function floorOf(appInst: AppInst): number {
  const { placement, rollout, site } = appInst.status ?? {};
  return Math.max(placement?.sequence ?? 0, rollout?.sequence ?? 0, site?.placement ?? 0);
}

/** The ports that a status names, as the ledger writes them. */
export function rememberedPorts(appInst: AppInst): readonly LedgerPort[] {
  return (appInst.status?.ports ?? []).flatMap((port) => {
    if (port.publicPort === undefined) return [];
    const count = countOf(port);
    return {
      name: port.name,
      protocol: transportOf(port.protocol),
      port: port.port,
      publicPort: port.publicPort,
      ...(count > 1 ? { count } : {}),
    };
  });
}

/**
 * A ledger from what the statuses of a site's AppInsts say, for a site whose own was lost. Hashes of inputs
 * are not known: each entry gets a new sequence with its next reconcile.
 */
export function rebuildLedger(
  cloudletId: string,
  appInsts: readonly { readonly id: string; readonly appInst: AppInst }[],
): CloudletLedgerSpec {
  const entries = appInsts.map(({ id, appInst }): LedgerEntry => {
    const ports = rememberedPorts(appInst);
    return {
      id,
      namespace: appInst.metadata.namespace ?? '',
      name: appInst.metadata.name,
      ...(appInst.status?.placement?.cluster === undefined
        ? {}
        : { cluster: appInst.status.placement.cluster }),
      sequence: Math.max(1, floorOf(appInst)),
      ...(ports.length === 0 ? {} : { ports: [...ports] }),
    };
  });
  const sequence = Math.max(0, ...entries.map((entry) => entry.sequence));
  return withLists({ cloudletId, sequence }, { entries });
}
