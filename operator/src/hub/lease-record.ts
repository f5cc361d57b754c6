/**
 * What a site's Lease says, and what it should say next. Pure.
 *
 * Guarantees: the holder is `<hub>/<boot>` of the member that acts for the site; a change of holder while
 * the old one lives and has not stood down is a contest, and three contests between the same two boots
 * within five minutes make them duplicates. The record lives on the Lease, so that every replica sees it.
 */
import { apiGroup, type Cloudlet } from '@cloudlet/crds';
import { contentHash } from '@cloudlet/runtime/base';
import { formatMicroTime, parseMicroTime } from '@cloudlet/runtime/kubernetes';
import { timing } from '@cloudlet/tunnel';
import { z } from 'zod';
import type { Lease } from '../kinds.ts';
import { isListed } from '../keys.ts';
import { leaseAnnotations } from '../names.ts';

/** Annotations that the hubs alone read and write. */
export const hubAnnotations = {
  /** JSON list of the latest contests for the Lease. */
  contests: `${apiGroup}/contests`,
  /** Boot of the holder that said it no longer acts. */
  stoodDown: `${apiGroup}/stood-down`,
} as const;

const contest = z.object({ at: z.number(), from: z.string().max(64), to: z.string().max(64) });
export type Contest = z.infer<typeof contest>;

const duplicate = z.object({
  since: z.string().max(64),
  boots: z.array(z.string().max(64)).max(2),
  /** Keys that are refused. */
  fingerprints: z.array(z.string().max(64)).max(2),
  /** Hash of spec.acceptedKeys at that time: another one means that a person decided. */
  acceptedKeys: z.string().max(64),
});
export type Duplicate = z.infer<typeof duplicate>;

const removedItem = z.object({ id: z.string().max(64), sequence: z.number() });
export type RemovedItem = z.infer<typeof removedItem>;

const waitingKey = z.object({
  fingerprint: z.string().max(64),
  member: z.string().max(63).optional(),
  address: z.string().max(64).optional(),
  since: z.string().max(64),
});
export type WaitingKey = z.infer<typeof waitingKey>;

/** A merge patch of a Lease. */
export interface LeaseChange {
  readonly spec?: Lease['spec'];
  readonly annotations?: Readonly<Record<string, string | null>>;
}

const contestWindowMs = 5 * 60_000;
const contestsOfDuplicates = 3;
const keptContests = 8;

export const contestsOf = (lease: Lease): readonly Contest[] =>
  listOf(lease, hubAnnotations.contests, contest);
export const removedOf = (lease: Lease): readonly RemovedItem[] =>
  listOf(lease, leaseAnnotations.removed, removedItem);
/** Removals that were on record and are not any more. */
export function takenOffRecord(before: Lease, after: Lease): readonly RemovedItem[] {
  const key = leaseAnnotations.removed;
  if (before.metadata.annotations?.[key] === after.metadata.annotations?.[key]) return [];
  const now = new Map(removedOf(after).map(({ id, sequence }) => [id, sequence]));
  return removedOf(before).filter(({ id, sequence }) => (now.get(id) ?? -1) < sequence);
}

export const waitingOf = (lease: Lease): readonly WaitingKey[] =>
  listOf(lease, leaseAnnotations.waiting, waitingKey);

export function duplicateOf(lease: Lease | undefined): Duplicate | undefined {
  const text = lease?.metadata.annotations?.[leaseAnnotations.duplicate];
  return text === undefined ? undefined : parsed(duplicate, text);
}

/** Whether the record refuses this key; a key that a person accepted since, or a new one, is let in. */
export function isRefusedDuplicate(
  record: Duplicate | undefined,
  fingerprint: string,
  cloudlet: Cloudlet,
): boolean {
  if (!record?.fingerprints.includes(fingerprint)) return false;
  const isAcceptedAgain =
    acceptedKeysHash(cloudlet) !== record.acceptedKeys && isListed(cloudlet, fingerprint);
  return !isAcceptedAgain;
}

/**
 * A record whose keys nobody accepts any more is compared with the list as it is now: whoever takes a key out
 * and puts it in again accepts it again, though it was in the list when the record was made.
 */
export function rearmed(lease: Lease, cloudlet: Cloudlet): LeaseChange | undefined {
  const record = duplicateOf(lease);
  const acceptedKeys = acceptedKeysHash(cloudlet);
  if (!record || record.acceptedKeys === acceptedKeys) return undefined;
  if (record.fingerprints.some((fingerprint) => isListed(cloudlet, fingerprint))) return undefined;
  return {
    annotations: { [leaseAnnotations.duplicate]: JSON.stringify({ ...record, acceptedKeys }) },
  };
}

export const acceptedKeysHash = (cloudlet: Cloudlet): string =>
  contentHash([...(cloudlet.spec.acceptedKeys ?? [])].sort(), 16);

export function holderOf(
  lease: Lease | undefined,
): { readonly hub: string; readonly boot: string } | undefined {
  const identity = lease?.spec?.holderIdentity;
  if (!identity) return undefined;
  const slash = identity.lastIndexOf('/');
  return slash < 0
    ? { hub: identity, boot: '' }
    : { hub: identity.slice(0, slash), boot: identity.slice(slash + 1) };
}

export function isLive(lease: Lease | undefined, now: number): boolean {
  const { renewTime, leaseDurationSeconds } = lease?.spec ?? {};
  const renewedAt = parseMicroTime(renewTime ?? undefined);
  return renewedAt !== undefined && renewedAt + (leaseDurationSeconds ?? 0) * 1000 > now;
}

/** The boot that holds the Lease and may go on to; whoever takes it from this one contests it. */
export function rightfulBoot(lease: Lease | undefined, now: number): string | undefined {
  const holder = holderOf(lease);
  if (!holder || !isLive(lease, now)) return undefined;
  const hasStoodDown = lease?.metadata.annotations?.[hubAnnotations.stoodDown] === holder.boot;
  return hasStoodDown ? undefined : holder.boot;
}

export interface Acquisition {
  readonly hub: string;
  readonly boot: string;
  readonly fingerprint: string;
  /** Key of the boot that holds it, where this replica knows it. */
  readonly otherFingerprint?: string | undefined;
  readonly cloudlet: Cloudlet;
  readonly now: number;
}

export interface AcquisitionResult {
  readonly change: LeaseChange;
  readonly contested: boolean;
  /** The Lease is not taken: both are duplicates. */
  readonly duplicate?: Duplicate;
}

/** Takes or renews the Lease for a boot. */
export function acquisition(lease: Lease, by: Acquisition): AcquisitionResult {
  const holder = holderOf(lease);
  if (holder?.boot === by.boot) return { change: renewed(lease, by), contested: false };
  if (!holder || rightfulBoot(lease, by.now) === undefined)
    return { change: renewed(lease, by), contested: false };
  const contests = [
    ...contestsOf(lease).filter(({ at }) => at > by.now - contestWindowMs),
    { at: by.now, from: holder.boot, to: by.boot },
  ].slice(-keptContests);
  const between = contests.filter(({ from, to }) => isPair(from, to, holder.boot, by.boot));
  if (between.length < contestsOfDuplicates) {
    const annotations = { [hubAnnotations.contests]: JSON.stringify(contests) };
    const change = renewed(lease, by);
    return {
      change: { ...change, annotations: { ...change.annotations, ...annotations } },
      contested: true,
    };
  }
  return { contested: true, ...duplicates(holder.boot, by) };
}

/** Gives the Lease back, if it is this boot's. */
export function release(lease: Lease, hub: string, boot: string): LeaseChange | undefined {
  const holder = holderOf(lease);
  if (holder?.hub !== hub || holder.boot !== boot) return undefined;
  return { spec: { holderIdentity: '' } };
}

/** Says that the holder no longer acts, so that the next one's taking it is no contest. */
export function standDown(lease: Lease, hub: string, boot: string): LeaseChange | undefined {
  const holder = holderOf(lease);
  if (holder?.hub !== hub || holder.boot !== boot) return undefined;
  return { annotations: { [hubAnnotations.stoodDown]: boot } };
}

function renewed(lease: Lease, by: Acquisition): LeaseChange {
  const isNew = holderOf(lease)?.boot !== by.boot;
  const record = duplicateOf(lease);
  const annotations = {
    ...(isNew && lease.metadata.annotations?.[hubAnnotations.stoodDown]
      ? { [hubAnnotations.stoodDown]: null }
      : {}),
    // Whoever gets here was let in: the record is settled.
    ...(record ? { [leaseAnnotations.duplicate]: null, [hubAnnotations.contests]: null } : {}),
  };
  return {
    spec: {
      holderIdentity: `${by.hub}/${by.boot}`,
      leaseDurationSeconds: timing.leaseDurationMs / 1000,
      renewTime: formatMicroTime(by.now),
      ...(isNew
        ? {
            acquireTime: formatMicroTime(by.now),
            leaseTransitions: (lease.spec?.leaseTransitions ?? 0) + 1,
          }
        : {}),
    },
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
  };
}

function duplicates(other: string, by: Acquisition) {
  const record: Duplicate = {
    since: new Date(by.now).toISOString(),
    boots: [other, by.boot],
    fingerprints: [...new Set([by.fingerprint, by.otherFingerprint ?? by.fingerprint])],
    acceptedKeys: acceptedKeysHash(by.cloudlet),
  };
  const change: LeaseChange = {
    spec: { holderIdentity: '' },
    annotations: {
      [leaseAnnotations.duplicate]: JSON.stringify(record),
      [hubAnnotations.contests]: null,
    },
  };
  return { change, duplicate: record };
}

const isPair = (from: string, to: string, a: string, b: string): boolean =>
  (from === a && to === b) || (from === b && to === a);

function listOf<T extends z.ZodType>(lease: Lease, key: string, item: T): readonly z.infer<T>[] {
  const text = lease.metadata.annotations?.[key];
  return (text === undefined ? undefined : parsed(z.array(item), text)) ?? [];
}

/** What cannot be read counts as absent: the annotation is ours, and the next write mends it. */
function parsed<T extends z.ZodType>(schema: T, text: string): z.infer<T> | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
