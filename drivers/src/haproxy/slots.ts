/**
 * Which server sits in which slot of its backend. Pure.
 *
 * A backend has a fixed number of slots in HAProxy's configuration; servers come and go in them over the
 * runtime API, so that most changes need no reload. A server keeps its slot for as long as it is there.
 */
import type { Frontend, Server } from './model.ts';

export const leastSlots = 8;

/** Slot to server; a slot without one is out of service. */
export type Slots = readonly (Server | undefined)[];

/** Slots of each backend by its frontend's name. */
export type Assignment = ReadonlyMap<string, Slots>;

export function assignSlots(frontends: readonly Frontend[], before: Assignment): Assignment {
  return new Map(
    frontends.map((frontend) => [
      frontend.name,
      slotsOf(frontend.servers, before.get(frontend.name) ?? []),
    ]),
  );
}

function slotsOf(servers: readonly Server[], before: Slots): Slots {
  const wanted = new Map(servers.map((server) => [server.key, server]));
  const slots: (Server | undefined)[] = before.map((old) => {
    const kept = old && wanted.get(old.key);
    if (kept) wanted.delete(kept.key);
    return kept;
  });
  let count = Math.max(leastSlots, slots.length);
  while (count < servers.length) count *= 2;
  while (slots.length < count) slots.push(undefined);
  for (const server of wanted.values()) slots[slots.indexOf(undefined)] = server;
  return slots;
}
