/**
 * Opens a session where an instance runs: AppInst, then its site's Lease, then the Lease of the hub that
 * holds the tunnel.
 *
 * Guarantees: reads the API server at each session, so it follows a move at once and holds no cache; a site
 * that is on its way from one hub to another is waited for; who asks for an instance never learns the name
 * of its site from an error.
 */
import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { type AppInst, type Cloudlet, namespaces } from '@cloudlet/crds';
import {
  type Clock,
  ConflictError,
  DeadlineError,
  InvalidError,
  type Logger,
  NotFoundError,
  TooManyRequestsError,
  UnreachableError,
} from '@cloudlet/runtime/base';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import type { SessionRequest } from '@cloudlet/tunnel';
import { holderOf } from '../hub/lease-record.ts';
import type { SessionDialer } from '../hub/session-dial.ts';
import { HubGoneError, type Route, routeTo } from '../hub/session-router.ts';
import { type Lease, leaseType, resourceTypes } from '../kinds.ts';
import { hubLeasePrefix, siteLeaseName } from '../names.ts';
import { instanceIdOf } from '../plan/render.ts';
import type { AccessRequest, Target } from './request.ts';

export interface SitesOptions {
  readonly client: KubernetesClient;
  readonly dialer: SessionDialer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For finding the hub, and for the site's answer. */
  readonly openMs: number;
}

/** An agent whose hub ends or dies is at another by then, give or take a second dial. */
const moveMs = 10_000;
const moveLookMs = 500;

interface Place {
  readonly cloudlet: string;
  readonly instance?: string;
}

export class Sites {
  readonly #options: SitesOptions;

  constructor(options: SitesOptions) {
    this.#options = options;
  }

  /** @throws errors of runtime/base, each fit to be told to the caller. */
  async open(request: AccessRequest, user: string, signal: AbortSignal): Promise<Duplex> {
    const { target, parameters } = request;
    const place = await this.#placeOf(target, signal);
    const session = {
      ...parameters,
      id: randomUUID(),
      user: user.slice(0, 253),
      ...(place.instance === undefined ? {} : { instance: place.instance }),
    };
    try {
      return await this.#openAt(place.cloudlet, session, signal);
    } catch (error) {
      this.#options.logger.info('a session could not be opened', {
        cloudlet: place.cloudlet,
        session: session.kind,
        error,
      });
      throw target.kind === 'cloudlet' ? error : withoutSite(error, target);
    }
  }

  /** Tries again while the site has a hub that does not answer for it: it moves. */
  async #openAt(cloudlet: string, session: SessionRequest, signal: AbortSignal): Promise<Duplex> {
    const { clock, dialer, openMs } = this.#options;
    const begun = clock.monotonic();
    for (;;) {
      let isHeld = false;
      try {
        const { address } = await this.#routeTo(cloudlet, signal);
        isHeld = true;
        const deadlineMs = Math.max(1, begun + openMs - clock.monotonic());
        return await dialer.open({ address, cloudlet, session, deadlineMs }, signal);
      } catch (error) {
        const mayMove =
          error instanceof HubGoneError || (isHeld && error instanceof UnreachableError);
        const waitedMs = clock.monotonic() - begun;
        if (!mayMove || waitedMs > Math.min(moveMs, openMs)) throw error;
      }
      await clock.sleep(moveLookMs, signal);
    }
  }

  async #placeOf(target: Target, signal: AbortSignal): Promise<Place> {
    const { client } = this.#options;
    if (target.kind === 'cloudlet') {
      await client
        .resource<Cloudlet>(resourceTypes.Cloudlet)
        .get(target.name, undefined, { signal });
      return { cloudlet: target.name };
    }
    const { namespace, name } = target;
    const appInsts = client.resource<AppInst>(resourceTypes.AppInst);
    const appInst = await appInsts.get(name, namespace, { signal });
    const cloudlet = appInst.status?.placement?.cloudlet;
    const instance = instanceIdOf(appInst);
    if (cloudlet === undefined || instance === undefined)
      throw new ConflictError(`AppInst ${namespace}/${name} is not placed yet`);
    return { cloudlet, instance };
  }

  async #routeTo(cloudlet: string, signal: AbortSignal): Promise<Route> {
    const leases = new Map<string, Lease>();
    const read = async (name: string): Promise<Lease | undefined> => {
      const lease = await this.#lease(name, signal);
      if (lease) leases.set(`${namespaces.system}/${name}`, lease);
      return lease;
    };
    const holder = holderOf(await read(siteLeaseName(cloudlet)));
    if (holder) await read(hubLeasePrefix + holder.hub);
    return routeTo(cloudlet, (key) => leases.get(key), this.#options.clock.now());
  }

  async #lease(name: string, signal: AbortSignal): Promise<Lease | undefined> {
    try {
      const leases = this.#options.client.resource<Lease>(leaseType);
      return await leases.get(name, namespaces.system, { signal });
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }
}

/** The same decision in words that do not name the site: a developer may not know it. */
function withoutSite(error: unknown, target: Extract<Target, { kind: 'appinst' }>): Error {
  const who = `AppInst ${target.namespace}/${target.name}`;
  if (error instanceof DeadlineError) return new DeadlineError(`${who}: its site did not answer`);
  if (error instanceof TooManyRequestsError)
    return new TooManyRequestsError(`${who}: its site has too many sessions`, error.retryAfterMs);
  if (error instanceof InvalidError)
    return new InvalidError(`${who}: its site refused the request`);
  return new UnreachableError(`${who}: its site cannot be reached now`);
}
