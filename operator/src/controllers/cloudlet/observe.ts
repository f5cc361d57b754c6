/** Everything that a reconcile of a Cloudlet looks at, from memory, read once. */
import {
  type AppInst,
  type Cloudlet,
  cloudletConditions,
  type CloudletLedgerSpec,
  type CloudletStatus,
  type Cluster,
  namespaces,
} from '@cloudlet/crds';
import type { CertificateSigningRequest, Lease, SecretObject } from '../../kinds.ts';
import { joinSecretName, leaseAnnotations, siteLeaseName } from '../../names.ts';
import { refs, type Region } from '../../region.ts';
import { conditionOf } from '../../status.ts';
import { type JoinRecord, joinRecordOf } from './join.ts';
import type { Connection, Liveness } from './liveness.ts';
import { isPending } from './requests.ts';

export interface Observed {
  readonly cloudlet: Cloudlet;
  readonly now: number;
  readonly joinSecret: SecretObject | undefined;
  readonly join: JoinRecord | undefined;
  readonly lease: Lease | undefined;
  readonly connection: Connection;
  readonly requests: readonly CertificateSigningRequest[];
  readonly ledger: CloudletLedgerSpec | undefined;
  readonly isZoneMissing: boolean;
  readonly placed: readonly AppInst[];
  readonly clusters: readonly Cluster[];
}

export function observe(region: Region, liveness: Liveness, cloudlet: Cloudlet): Observed {
  const { name } = cloudlet.metadata;
  const system = namespaces.system;
  const joinSecret = region.informers.system.cache.get(`${system}/${joinSecretName(name)}`);
  const lease = region.informers.leases.cache.get(`${system}/${siteLeaseName(name)}`);
  const wasConnected = conditionOf(cloudlet, cloudletConditions.Connected)?.status === 'True';
  const zone = cloudlet.spec.zoneRef?.name;
  return {
    cloudlet,
    now: region.clock.now(),
    joinSecret,
    join: joinRecordOf(joinSecret),
    lease,
    connection: liveness.judge(name, lease, wasConnected),
    requests: region.informers.requests.cache.byIndex('cloudlet', name).filter(isPending),
    ledger: region.ledgers.view(name),
    isZoneMissing: zone !== undefined && region.zones.get(zone) === undefined,
    placed: region.referrers(refs.site(name)),
    clusters: region.informers.clusters.cache.byIndex('refs', refs.cloudlet(name)),
  };
}

type Waiting = NonNullable<CloudletStatus['waiting']>;

/** Keys that ask to be let in, as the hubs noted them, without those that were let in since. */
export function waitingOf(lease: Lease | undefined, known: ReadonlySet<string>): Waiting {
  return parsedList(lease, leaseAnnotations.waiting).flatMap((item) => {
    const { fingerprint, member, address, since } = item;
    if (typeof fingerprint !== 'string' || typeof since !== 'string') return [];
    if (known.has(fingerprint)) return [];
    return [
      {
        fingerprint,
        since,
        ...(typeof member === 'string' ? { member } : {}),
        ...(typeof address === 'string' ? { address } : {}),
      },
    ];
  });
}

/** Removals that the site confirmed though the AppInst is no longer its own. */
export function confirmedRemovals(
  lease: Lease | undefined,
): readonly { readonly id: string; readonly sequence: number }[] {
  return parsedList(lease, leaseAnnotations.removed).flatMap(({ id, sequence }) =>
    typeof id === 'string' && typeof sequence === 'number' ? [{ id, sequence }] : [],
  );
}

/** What cannot be read counts as absent: the hubs' next write mends it. */
function parsedList(lease: Lease | undefined, key: string): readonly Record<string, unknown>[] {
  const text = lease?.metadata.annotations?.[key];
  if (text === undefined) return [];
  try {
    const parsed: unknown = JSON.parse(text);
    return Array.isArray(parsed) ? (parsed as Record<string, unknown>[]) : [];
  } catch {
    return [];
  }
}
