/**
 * Where a site's tunnel ends now: the hub that holds its Lease, and that hub's own Lease with its address.
 *
 * Guarantees: an address is given only while both Leases are live; what is missing is said in the error, and
 * whether a moment may mend it: a site whose hub went is on its way to another.
 */
import { namespaces } from '@cloudlet/crds';
import { UnreachableError } from '@cloudlet/runtime/base';
import type { Lease } from '../kinds.ts';
import { hubLeasePrefix, leaseAnnotations, siteLeaseName } from '../names.ts';
import { holderOf, isLive } from './lease-record.ts';

export interface Route {
  readonly hub: string;
  readonly address: string;
}

/** The site lives and its hub does not: it comes to another within seconds. */
export class HubGoneError extends UnreachableError {}

/** @throws UnreachableError when the site is connected nowhere, HubGoneError when its hub is gone. */
export function routeTo(
  cloudlet: string,
  lease: (key: string) => Lease | undefined,
  now: number,
): Route {
  const site = lease(`${namespaces.system}/${siteLeaseName(cloudlet)}`);
  const holder = holderOf(site);
  if (!holder || !isLive(site, now))
    throw new UnreachableError(`Cloudlet ${cloudlet} is not connected`);
  const hub = lease(`${namespaces.system}/${hubLeasePrefix}${holder.hub}`);
  const address = hub?.metadata.annotations?.[leaseAnnotations.hubAddress];
  if (!address || !isLive(hub, now))
    throw new HubGoneError(`the hub of Cloudlet ${cloudlet} (${holder.hub}) is not there`);
  return { hub: holder.hub, address };
}
