/**
 * AppInsts that went without their finalizer's leave. The API server reads an object, sees no finalizer and
 * deletes it; a finalizer that came on it in between does not hold it (`Store.Delete` of
 * k8s.io/apiserver/pkg/registry/generic/registry checks no more than uid and resourceVersion, where these are
 * asked for). By then the instance may have its place in a ledger, and run.
 *
 * Guarantees: what the watch told as deleted, and never as being deleted, is removed from every ledger that has
 * it; that something is not there is no reason to remove anything, only that its end was told.
 */
import type { AppInst } from '@cloudlet/crds';
import type { CacheEvent, ObjectKey } from '@cloudlet/runtime/kubernetes';
import { keyOf } from '../../freshest.ts';
import { entryOf, floorOf, retire } from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { refs, type Region } from '../../region.ts';
import { timestamp } from '../../status.ts';
import { deletesVolumes } from './remove.ts';

/** Those that a standby remembers, which settles none; the oldest go. */
const mostRemembered = 1_000;

export class Vanished {
  readonly #byId = new Map<string, AppInst>();

  /** To be told of every change, before whoever reconciles hears of it. */
  observe({ type, object }: CacheEvent<AppInst>): void {
    if (type !== 'Deleted' || object.metadata.deletionTimestamp !== undefined) return;
    this.#byId.set(idOf(object), object);
    const [oldest] = this.#byId.keys();
    if (this.#byId.size > mostRemembered && oldest !== undefined) this.#byId.delete(oldest);
  }

  of(key: ObjectKey): readonly AppInst[] {
    return [...this.#byId.values()].filter((object) => keyOf(object) === key);
  }

  settled(object: AppInst): void {
    this.#byId.delete(idOf(object));
  }
}

/** An id is given together with the finalizer, which the last state that was seen may not have yet. */
const idOf = (object: AppInst): string => instanceIdOf(object) ?? object.metadata.uid;

/** Orders the removal of all that vanished under the name. */
export async function removeVanished(
  region: Region,
  vanished: Vanished,
  key: ObjectKey,
): Promise<void> {
  for (const object of vanished.of(key)) {
    const id = idOf(object);
    if (region.referrers(refs.id(id)).length === 0) await retireEverywhere(region, object, id);
    region.placements.delete(id);
    vanished.settled(object);
  }
}

/** As the API server has the ledgers: what was placed last may not have come by the watch. */
async function retireEverywhere(region: Region, object: AppInst, id: string): Promise<void> {
  for (const { metadata, spec } of await region.ledgers.refreshAll()) {
    if (!entryOf(spec, id)) continue;
    const { name } = metadata;
    region.logger.warn('an AppInst was deleted before its finalizer held', {
      object: keyOf(object),
      instance: id,
      cloudlet: name,
    });
    await region.ledgers.write({ name, id: spec.cloudletId }, (ledger) => ({
      ledger: entryOf(ledger, id) ? retire(ledger, orderOf(region, object, id)).ledger : ledger,
      result: undefined,
    }));
  }
}

const orderOf = (region: Region, object: AppInst, id: string): Parameters<typeof retire>[1] => ({
  ...{ id, reason: 'Deleted', deleteVolumes: deletesVolumes(region, object) },
  ...{ since: timestamp(region.clock.now()), floor: floorOf(object) },
});
