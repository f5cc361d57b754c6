/**
 * The hub's own Lease: that it is there, of which version, and where its internal listener answers.
 *
 * Guarantees: renewed every 10 s for 30 s, under the name `hub-<name>`; given back at the end.
 */
import { namespaces } from '@cloudlet/crds';
import { type Clock, type Logger, NotFoundError, policyOf } from '@cloudlet/runtime/base';
import {
  formatMicroTime,
  type KubernetesClient,
  type ResourceClient,
} from '@cloudlet/runtime/kubernetes';
import { type Lease, leaseType } from '../kinds.ts';
import { hubLeasePrefix, leaseAnnotations } from '../names.ts';
import { regionVersion } from '../version.ts';

export interface HubLeaseOptions {
  readonly client: KubernetesClient;
  readonly hubName: string;
  /** host:port for sessions. */
  readonly address: string;
  readonly boot: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

const renewMs = 10_000;
const durationSeconds = 30;

export class HubLease {
  readonly #options: HubLeaseOptions;
  readonly #leases: ResourceClient<Lease>;
  readonly #name: string;

  constructor(options: HubLeaseOptions) {
    this.#options = options;
    this.#leases = options.client.resource<Lease>(leaseType);
    this.#name = hubLeasePrefix + options.hubName;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#write(this.#options.boot, signal);
        await clock.sleep(renewMs, signal);
      } catch (error) {
        if (signal.aborted) break;
        logger.log(policyOf(error).log, 'cannot renew the Lease of this hub', { error });
        await clock.sleep(1_000, signal).catch(() => undefined);
      }
    }
    await this.#write('').catch((error: unknown) =>
      logger.warn('cannot give the Lease of this hub back', { error }),
    );
  }

  async #write(holderIdentity: string, signal?: AbortSignal): Promise<void> {
    const { clock, address } = this.#options;
    const patch = {
      metadata: {
        annotations: {
          [leaseAnnotations.hubAddress]: address,
          [leaseAnnotations.version]: regionVersion,
        },
      },
      spec: {
        holderIdentity,
        leaseDurationSeconds: durationSeconds,
        renewTime: formatMicroTime(clock.now()),
      },
    };
    const options = { timeoutMs: 5_000, ...(signal ? { signal } : {}) };
    try {
      await this.#leases.mergePatch(this.#name, namespaces.system, patch, options);
    } catch (error) {
      if (!(error instanceof NotFoundError) || holderIdentity === '') throw error;
      const metadata = { ...patch.metadata, name: this.#name, namespace: namespaces.system };
      await this.#leases.create({ metadata, spec: patch.spec }, options);
    }
  }
}
