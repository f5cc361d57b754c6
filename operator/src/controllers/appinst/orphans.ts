/**
 * An instance that a site tells of as its orphan though its AppInst is placed elsewhere or deleted, as after a
 * restore of the region to a time before it came there.
 *
 * Guarantees: removed is only what the region knows by its very id, and, while the AppInst is wanted, only when it
 * is well where it is placed; what the region does not know is left to a person.
 */
import type { AppInst } from '@cloudlet/crds';
import { expel } from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import type { Region } from '../../region.ts';
import { conditionOf, timestamp } from '../../status.ts';
import { rememberPlacement } from './observe.ts';
import { reportState } from './rollout.ts';

/** Whether the instance needs no other site than the one that it is placed at. */
export function standsWherePlaced(appInst: AppInst): boolean {
  if (appInst.spec.suspend || reportState(appInst) !== 'current') return false;
  const isTrue = (type: string): boolean => conditionOf(appInst, type)?.status === 'True';
  return isTrue('Deployed') && (isTrue('Healthy') || appInst.spec.powerState === 'Off');
}

/** Has every site remove the instance that tells of it as an orphan. */
export async function expelOrphans(region: Region, id: string): Promise<void> {
  const since = timestamp(region.clock.now());
  for (const cloudlet of region.informers.cloudlets.cache.byIndex('orphan', id)) {
    const { name } = cloudlet.metadata;
    const orphan = cloudlet.status?.site?.orphans?.find((one) => one.id === id);
    const known = region.ledgers.view(name);
    if (!orphan || (known && expel(known, orphan, since) === known)) continue;
    rememberPlacement(region, id, name);
    region.logger.info('a site has to remove an orphan', { cloudlet: name, instance: id });
    await region.ledgers.write({ name, id: instanceIdOf(cloudlet) ?? '' }, (ledger) => ({
      ledger: expel(ledger, orphan, since),
      result: undefined,
    }));
  }
}
