/**
 * Writes to the Leases of sites: who holds a site's tunnel, which keys wait, which removals are done.
 *
 * Guarantees: writes of one Lease are serial within this replica and carry the resourceVersion that they
 * were made of, so two replicas never overwrite each other; a conflict reads again; a change that changes
 * nothing is not written. The operator makes the Leases: one that is missing is waited for.
 */
import { namespaces } from '@cloudlet/crds';
import { type Clock, ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { KubernetesClient, ResourceClient } from '@cloudlet/runtime/kubernetes';
import type { Freshest } from '../freshest.ts';
import { type Lease, leaseType } from '../kinds.ts';
import { siteLeaseName } from '../names.ts';
import type { LeaseChange } from './lease-record.ts';
import type { HubMetrics } from './metrics.ts';

export interface SiteLeasesOptions {
  readonly client: KubernetesClient;
  /** The newer of what the watch brought and what this replica wrote. */
  readonly leases: Freshest<Lease>;
  readonly clock: Clock;
  readonly metrics: HubMetrics;
}

/** What to write, made of the Lease as it is; undefined to leave it. */
export type LeaseEdit = (lease: Lease, now: number) => LeaseChange | undefined;

const tries = 6;
const writeMs = 10_000;

export class SiteLeases {
  readonly #options: SiteLeasesOptions;
  readonly #leases: ResourceClient<Lease>;
  readonly #tails = new Map<string, Promise<unknown>>();

  constructor(options: SiteLeasesOptions) {
    this.#options = options;
    this.#leases = options.client.resource<Lease>(leaseType);
  }

  /**
   * Changes the Lease of a site.
   * @throws NotFoundError while there is none; ConflictError when others keep writing it.
   */
  edit(site: string, edit: LeaseEdit): Promise<Lease> {
    const run = (this.#tails.get(site) ?? Promise.resolve()).then(
      () => this.#edit(site, edit),
      () => this.#edit(site, edit),
    );
    this.#tails.set(site, run);
    const settle = (): void => {
      if (this.#tails.get(site) === run) this.#tails.delete(site);
    };
    run.then(settle, settle);
    return run;
  }

  async #edit(site: string, edit: LeaseEdit): Promise<Lease> {
    const key = `${namespaces.system}/${siteLeaseName(site)}`;
    let lease = this.#options.leases.get(key) ?? (await this.#read(site));
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#write(site, lease, edit(lease, this.#options.clock.now()));
      } catch (error) {
        if (!(error instanceof ConflictError) || attempt === tries) throw error;
        lease = await this.#read(site);
      }
    }
  }

  async #write(site: string, lease: Lease, change: LeaseChange | undefined): Promise<Lease> {
    if (!change) return lease;
    const { resourceVersion } = lease.metadata;
    const patch = {
      metadata: {
        resourceVersion,
        ...(change.annotations ? { annotations: change.annotations } : {}),
      },
      ...(change.spec ? { spec: change.spec } : {}),
    };
    try {
      const written = await this.#leases.mergePatch(siteLeaseName(site), namespaces.system, patch, {
        timeoutMs: writeMs,
        fieldManager: 'cloudlet-hub',
      });
      this.#options.leases.wrote(written);
      this.#options.metrics.leaseWrites.inc({ result: 'written' });
      return written;
    } catch (error) {
      const result = error instanceof ConflictError ? 'conflict' : 'failed';
      this.#options.metrics.leaseWrites.inc({ result });
      throw error;
    }
  }

  async #read(site: string): Promise<Lease> {
    try {
      return await this.#leases.get(siteLeaseName(site), namespaces.system, { timeoutMs: writeMs });
    } catch (cause) {
      if (!(cause instanceof NotFoundError)) throw cause;
      throw new NotFoundError(`Cloudlet ${site} has no Lease yet`, { cause });
    }
  }
}
