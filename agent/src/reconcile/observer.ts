/**
 * What is there: follows the driver's observations and keeps the latest of the site and of each instance.
 *
 * Guarantees: an observation that ends or fails is begun again (1 s doubling to 30 s); until the next full
 * snapshot the last known state stays, marked `stale` after 30 s without one; an instance is gone only when
 * a snapshot lacks it or the driver says so.
 */
import type { Driver, InstanceObservation, Observation, SiteObservation } from '@cloudlet/drivers';
import {
  backoffMs,
  type Clock,
  describeError,
  type Logger,
  type Random,
  type Timer,
} from '@cloudlet/runtime/base';

export interface ObserverOptions {
  readonly driver: Driver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: Random;
  /** These instances changed, or the site did. A snapshot names every instance that is or was there. */
  readonly onChange: (change: { readonly ids: readonly string[]; readonly site: boolean }) => void;
}

/** Without an observation for so long, what is known is not the present. */
const staleMs = 30_000;

export class Observer {
  readonly #options: ObserverOptions;
  readonly #instances = new Map<string, InstanceObservation>();
  #site: SiteObservation | undefined;
  #failure: string | undefined;
  #stale: Timer | undefined;
  #isStale = false;

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  get instances(): ReadonlyMap<string, InstanceObservation> {
    return this.#instances;
  }

  /** Undefined until the first snapshot. */
  get site(): SiteObservation | undefined {
    return this.#site;
  }

  /** Why there is no observation now. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Whether what is known may be long past. */
  get stale(): boolean {
    return this.#isStale;
  }

  /** Observes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { driver, clock, logger, random } = this.#options;
    this.#startStale();
    for (let failures = 0; !signal.aborted;) {
      try {
        for await (const observation of driver.observe(signal)) {
          failures = 0;
          this.#take(observation);
        }
        if (signal.aborted) break;
        this.#lost('the observation ended');
      } catch (error) {
        if (signal.aborted) break;
        this.#lost(describeError(error));
      }
      const waitMs = backoffMs(failures++, { baseMs: 1000, maxMs: 30_000, jitter: 0.2 }, random);
      logger.warn('cannot observe the platform', {
        error: this.#failure,
        againMs: Math.round(waitMs),
      });
      await clock.sleep(waitMs, signal).catch(() => undefined); // the loop sees the abort
    }
    this.#stale?.cancel();
  }

  #take(observation: Observation): void {
    this.#stale?.cancel();
    this.#stale = undefined;
    const isBack = this.#failure !== undefined || this.#isStale;
    this.#failure = undefined;
    this.#isStale = false;
    const ids = this.#merge(observation);
    const site = isBack || observation.kind === 'Snapshot' || observation.kind === 'Site';
    this.#options.onChange({ ids: isBack ? [...this.#instances.keys(), ...ids] : ids, site });
  }

  #merge(observation: Observation): readonly string[] {
    switch (observation.kind) {
      case 'Snapshot': {
        const before = [...this.#instances.keys()];
        this.#site = observation.site;
        this.#instances.clear();
        for (const instance of observation.instances) this.#instances.set(instance.id, instance);
        return [...new Set([...before, ...this.#instances.keys()])];
      }
      case 'Site':
        this.#site = observation.site;
        return [];
      case 'Instance':
        this.#instances.set(observation.instance.id, observation.instance);
        return [observation.instance.id];
      case 'Gone':
        this.#instances.delete(observation.id);
        return [observation.id];
    }
  }

  #lost(failure: string): void {
    this.#failure = failure;
    this.#startStale();
    this.#options.onChange({ ids: [], site: true });
  }

  #startStale(): void {
    this.#stale ??= this.#options.clock.after(staleMs, () => {
      this.#isStale = true;
      this.#failure ??= 'the platform has not answered yet';
      this.#options.onChange({ ids: [...this.#instances.keys()], site: true });
    });
  }
}
