/** Objects and links for the tests of the hub. */
import {
  annotations,
  type AppInst,
  type Cloudlet,
  type CloudletLedger,
  type CloudletLedgerSpec,
  type LedgerEntry,
  type LedgerTombstone,
  type Plan,
  type Removal,
} from '@cloudlet/crds';
import type { Have, HelloInfo, InstanceReport, SiteIdentity, SiteLink } from '@cloudlet/tunnel';
import type { Lease } from '../kinds.ts';

const time = '2026-01-01T00:00:00Z';

const metadata = (name: string, namespace?: string) => ({
  name,
  ...(namespace === undefined ? {} : { namespace }),
  uid: `uid-${name}`,
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: time,
});

export const anEntry = (more: Partial<LedgerEntry> = {}): LedgerEntry => ({
  id: 'id',
  namespace: 'shop',
  name: 'web',
  sequence: 1,
  ...more,
});

export const aTombstone = (more: Partial<LedgerTombstone> = {}): LedgerTombstone => ({
  id: 'id',
  sequence: 1,
  reason: 'Deleted',
  since: time,
  ...more,
});

export const aLedger = (spec: Partial<CloudletLedgerSpec> = {}): CloudletLedger => ({
  apiVersion: 'edge.cloudlet.dev/v1alpha1',
  kind: 'CloudletLedger',
  metadata: metadata('north'),
  spec: { cloudletId: 'cloudlet-id', sequence: 9, ...spec },
});

/** Placed at `north` with instance id `id`, plan 3 of revision `web-1`. */
export function anAppInst(status: Partial<NonNullable<AppInst['status']>> = {}): AppInst {
  return {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'AppInst',
    metadata: { ...metadata('web', 'shop'), annotations: { [annotations.instanceId]: 'id' } },
    spec: { appRef: { name: 'web' }, cloudletRef: { name: 'north' } },
    status: {
      placement: { cloudlet: 'north', sequence: 1 },
      rollout: { revision: 'web-1', sequence: 3, generation: 1 },
      ...status,
    },
  };
}

export const fingerprint = `SHA256:${'A'.repeat(43)}`;
export const otherFingerprint = `SHA256:${'B'.repeat(43)}`;

/** `north`, with id `cloudlet-id` and one known key. */
export function aCloudlet(
  spec: Partial<Cloudlet['spec']> = {},
  status: Partial<NonNullable<Cloudlet['status']>> = {},
): Cloudlet {
  return {
    apiVersion: 'edge.cloudlet.dev/v1alpha1',
    kind: 'Cloudlet',
    metadata: { ...metadata('north'), annotations: { [annotations.instanceId]: 'cloudlet-id' } },
    spec: { operator: 'campus', platform: 'Fake', ...spec },
    status: { keys: [{ fingerprint }], ...status },
  };
}

export const aLease = (
  spec: Lease['spec'] = {},
  leaseAnnotations: Readonly<Record<string, string>> = {},
): Lease => ({
  metadata: {
    name: 'site-north',
    namespace: 'cloudlet-system',
    resourceVersion: '1',
    annotations: leaseAnnotations,
  },
  spec,
});

export const anIdentity = (more: Partial<SiteIdentity> = {}): SiteIdentity => ({
  cloudlet: 'north',
  cloudletId: 'cloudlet-id',
  fingerprint,
  notAfter: new Date('2027-01-01T00:00:00Z'),
  ...more,
});

export function aReport(
  site: Partial<InstanceReport['status']['site']> = {},
  more: Partial<InstanceReport['status']> = {},
): InstanceReport {
  return {
    id: 'id',
    object: { namespace: 'shop', name: 'web' },
    status: {
      site: { uid: 'uid-web', boot: 'boot-1', sequence: 1, placement: 3, ...site },
      conditions: [],
      ...more,
    },
  };
}

/** A link that keeps what was sent; `end` closes it. */
export class RecordingLink implements SiteLink {
  readonly identity: SiteIdentity;
  readonly hello: HelloInfo;
  active: boolean;
  readonly sent: string[] = [];
  readonly refusals: string[] = [];
  /** Whether the agent answers a ping. */
  isThere = true;
  readonly #closed = new AbortController();

  constructor(
    options: {
      readonly boot?: string;
      readonly active?: boolean;
      readonly have?: readonly Have[];
      readonly fingerprint?: string;
    } = {},
  ) {
    this.identity = anIdentity({ fingerprint: options.fingerprint ?? fingerprint });
    this.active = options.active ?? true;
    this.hello = {
      boot: options.boot ?? 'boot-1',
      member: 'phone-1',
      agentVersion: 'test',
      active: this.active,
      features: [],
      have: options.have ?? [],
      skewMs: 0,
      remoteAddress: '127.0.0.1',
    };
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }
  end(): void {
    this.#closed.abort(new Error('ended'));
  }
  sendPlan(plan: Plan, hash: string): void {
    this.sent.push(`plan ${plan.id} ${plan.sequence} ${hash}`);
  }
  sendRemoval({ id, sequence }: Removal): void {
    this.sent.push(`remove ${id} ${sequence}`);
  }
  sendForget(id: string): void {
    this.sent.push(`forget ${id}`);
  }
  sendSynced(orphans: readonly string[]): void {
    this.sent.push(`synced ${orphans.join(',')}`.trim());
  }
  answers(): Promise<boolean> {
    return Promise.resolve(this.isThere);
  }
  deputize(acts: boolean): void {
    this.sent.push(`deputize ${acts}`);
  }
  sendLeave(): void {
    this.sent.push('leave');
  }
  openSession(): never {
    throw new Error('no sessions here');
  }
  drain(): void {
    this.sent.push('drain');
  }
  refuse(reason: string): void {
    this.refusals.push(reason);
    this.end();
  }
}
