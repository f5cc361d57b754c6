/** Who a Cloudlet is: its finalizer, and the id that certificates, ledger and join Secret carry. */
import { annotations, type Cloudlet, finalizers } from '@cloudlet/crds';
import { instanceIdOf } from '../../plan/render.ts';
import type { Region } from '../../region.ts';
import { patchMetadata } from '../finalizer.ts';

/** Writes finalizer and id where they are missing. Gives the object as it is then. */
export async function ensureIdentity(
  region: Region,
  cloudlet: Cloudlet,
  signal: AbortSignal,
): Promise<Cloudlet> {
  const id = rightfulId(region, cloudlet);
  const held = cloudlet.metadata.finalizers ?? [];
  if (held.includes(finalizers.cloudlet) && instanceIdOf(cloudlet) === id) return cloudlet;
  return patchMetadata(
    region.clients.cloudlets,
    region.cloudlets,
    cloudlet,
    {
      annotations: { [annotations.instanceId]: id },
      finalizers: [...new Set([...held, finalizers.cloudlet])],
    },
    signal,
  );
}

/** A copied object shows the id of another: the one whose ledger has it keeps it, else the older. */
function rightfulId(region: Region, cloudlet: Cloudlet): string {
  const { uid, name, creationTimestamp } = cloudlet.metadata;
  const shown = instanceIdOf(cloudlet);
  if (shown === undefined || !/^[-a-zA-Z0-9]{1,64}$/.test(shown)) return uid;
  const others = region.informers.cloudlets.cache
    .byIndex('id', shown)
    .filter(({ metadata }) => metadata.uid !== uid);
  const hasLedger = (site: string): boolean => region.ledgers.view(site)?.cloudletId === shown;
  if (others.length === 0 || hasLedger(name)) return shown;
  if (others.some(({ metadata }) => hasLedger(metadata.name))) return uid;
  const isOldest = others.every(
    ({ metadata }) =>
      creationTimestamp < metadata.creationTimestamp ||
      (creationTimestamp === metadata.creationTimestamp && name < metadata.name),
  );
  return isOldest ? shown : uid;
}
