/**
 * Members of a site whose agent no hub can speak with, on the site's Lease: the hubs write them there, the
 * operator tells of them. Pure.
 *
 * Guarantees: one entry a key, of at most as many keys as a site has members; it goes when a hub lets that key in;
 * a hub that is asked again and again writes seldom; what no hub renewed for half an hour counts as gone.
 */
import { z } from 'zod';
import type { LeaseChange } from './hub/lease-record.ts';
import type { Lease } from './kinds.ts';
import { leaseAnnotations } from './names.ts';

const entry = z.object({
  fingerprint: z.string().max(64),
  member: z.string().max(63),
  boot: z.string().max(64),
  reason: z.string().max(63),
  message: z.string().max(512),
  /** When a hub turned it away, not later than some minutes ago. */
  at: z.iso.datetime(),
});
export type TurnedAwayEntry = z.infer<typeof entry>;

const kept = 7;
const keptMs = 30 * 60_000;
/** An agent that is turned away asks about once a minute. */
const renewMs = 10 * 60_000;
/** For one that says something else each time. */
const leastMs = 30_000;

const ageOf = ({ at }: TurnedAwayEntry, now: number): number => now - Date.parse(at);

export function turnedAwayOf(lease: Lease | undefined, now: number): readonly TurnedAwayEntry[] {
  const text = lease?.metadata.annotations?.[leaseAnnotations.turnedAway];
  if (text === undefined) return [];
  try {
    const entries = z.array(entry).parse(JSON.parse(text));
    return entries.filter((each) => ageOf(each, now) < keptMs);
  } catch {
    return []; // ours alone to write: the next one mends it
  }
}

/** How long until the next one counts as gone. */
export const nextGoneMs = (entries: readonly TurnedAwayEntry[], now: number): number =>
  Math.min(...entries.map((each) => keptMs - ageOf(each, now)));

/** Adds or renews a member; undefined where the Lease says it already. */
export function turnedAway(
  lease: Lease,
  member: Omit<TurnedAwayEntry, 'at'>,
  now: number,
): LeaseChange | undefined {
  const entries = turnedAwayOf(lease, now);
  const known = entries.find(({ fingerprint }) => fingerprint === member.fingerprint);
  const isSame = known?.message === member.message && known.boot === member.boot;
  if (known && ageOf(known, now) < (isSame ? renewMs : leastMs)) return undefined;
  const others = entries.filter((each) => each !== known);
  const message = member.message.slice(0, 512);
  return written([...others, { ...member, message, at: new Date(now).toISOString() }].slice(-kept));
}

/** Takes a key off that was let in; undefined where it is not there. */
export function letIn(lease: Lease, fingerprint: string, now: number): LeaseChange | undefined {
  const entries = turnedAwayOf(lease, now);
  const others = entries.filter((each) => each.fingerprint !== fingerprint);
  return others.length === entries.length ? undefined : written(others);
}

const written = (entries: readonly TurnedAwayEntry[]): LeaseChange => ({
  annotations: {
    [leaseAnnotations.turnedAway]: entries.length > 0 ? JSON.stringify(entries) : null,
  },
});
