/**
 * Who an AppInst is: its finalizer, and the instance id that drivers, ledger and agents key by.
 *
 * Guarantees: both are on record before anything is done for the object; a restored object keeps its id; of
 * two objects that show one id, the one in the ledger keeps it, else the older, and the other gets a new one.
 */
import { annotations, type AppInst, finalizers } from '@cloudlet/crds';
import { keyOf } from '../../freshest.ts';
import { entryOf } from '../../ledger/entries.ts';
import { instanceIdOf } from '../../plan/render.ts';
import { refs, type Region } from '../../region.ts';

/** Writes finalizer and id where they are missing. Gives the object as it is then, with its id. */
export async function ensureIdentity(
  region: Region,
  appInst: AppInst,
  signal: AbortSignal,
): Promise<{ readonly appInst: AppInst; readonly id: string }> {
  const id = rightfulId(region, appInst);
  const held = appInst.metadata.finalizers ?? [];
  if (held.includes(finalizers.appinst) && instanceIdOf(appInst) === id) return { appInst, id };
  const written = await region.clients.appInsts.mergePatch(
    appInst.metadata.name,
    appInst.metadata.namespace,
    {
      metadata: {
        resourceVersion: appInst.metadata.resourceVersion,
        annotations: { [annotations.instanceId]: id },
        finalizers: [...new Set([...held, finalizers.appinst])],
      },
    },
    { signal },
  );
  return { appInst: region.appInsts.wrote(written), id };
}

/** The id that the object has a right to. */
function rightfulId(region: Region, appInst: AppInst): string {
  const shown = instanceIdOf(appInst);
  if (shown === undefined || !isWellFormed(shown)) return appInst.metadata.uid;
  const others = region
    .referrers(refs.id(shown))
    .filter(({ metadata }) => metadata.uid !== appInst.metadata.uid);
  const owner = ledgerOwner(region, shown);
  if (
    owner !== undefined &&
    owner !== keyOf(appInst) &&
    others.some((other) => keyOf(other) === owner)
  )
    return appInst.metadata.uid;
  if (owner === keyOf(appInst) || others.length === 0) return shown;
  return others.every((other) => isOlder(appInst, other)) ? shown : appInst.metadata.uid;
}

const isWellFormed = (id: string): boolean => /^[-a-zA-Z0-9]{1,64}$/.test(id);

/** Key of the object that a ledger has under the id. */
function ledgerOwner(region: Region, id: string): string | undefined {
  for (const ledger of region.informers.ledgers.cache.byIndex('id', id)) {
    const entry = entryOf(region.ledgers.view(ledger.metadata.name), id);
    if (entry) return `${entry.namespace}/${entry.name}`;
  }
  return undefined;
}

function isOlder(a: AppInst, b: AppInst): boolean {
  const [first, second] = [a.metadata.creationTimestamp, b.metadata.creationTimestamp];
  return first === second ? keyOf(a) < keyOf(b) : first < second;
}
