/**
 * Asks the region for transitions at a steady rate, whether those before are through or not, as people and
 * pipelines do: what fails is tried again until the API server took it.
 *
 * Guarantees: transitions of one object are asked for in their order; `history` knows of each what the API
 * server may have taken before it can be carried out.
 */
import { type AppInst, groupVersion } from '@cloudlet/crds';
import { resourceTypes } from '@cloudlet/operator';
import { describeError, InvalidError, NotFoundError, systemClock } from '@cloudlet/runtime/base';
import { until, expect } from '../testbed/index.ts';
import { machineMs } from '../scale/hollow-messages.ts';
import { type FaultBed, namespace, zoneName } from './bed.ts';
import { placeText } from './history.ts';
import type { Transition, Wanted, Wishes } from './wishes.ts';

const fieldManager = 'faults';
const againMs = 500;
const callMs = 10_000;

export class Asking {
  readonly #bed: FaultBed;
  readonly #wishes: Wishes;
  readonly #signal: AbortSignal;
  /** The end of the last transition of each object. */
  readonly #rows = new Map<string, Promise<void>>();
  #failure: unknown;
  asked = 0;

  constructor(bed: FaultBed, wishes: Wishes, signal: AbortSignal) {
    this.#bed = bed;
    this.#wishes = wishes;
    this.#signal = signal;
  }

  async prepare(): Promise<void> {
    for (const [app, round] of this.#wishes.rounds) this.ask({ kind: 'roll', app, round });
    await this.quiet();
  }

  /** Asks for transitions until the signal aborts. */
  async run(perSecond: number, until: AbortSignal): Promise<void> {
    const start = machineMs();
    for (let n = 0; !until.aborted; n++) {
      const waitMs = start + (n * 1_000) / perSecond - machineMs();
      if (waitMs > 0) await systemClock.sleep(waitMs, until).catch(() => undefined); // the loop sees the abort
      if (!until.aborted) this.ask(this.#wishes.next());
    }
  }

  ask(transition: Transition): void {
    this.asked++;
    const key = keyOf(transition);
    const before = this.#rows.get(key) ?? Promise.resolve();
    const after = before.then(() => this.#carry(transition));
    this.#rows.set(
      key,
      after.catch((error: unknown) => void (this.#failure ??= error)),
    );
  }

  /** Resolves when the API server took all. @throws what cannot be asked for */
  async quiet(): Promise<void> {
    await Promise.all(this.#rows.values());
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async #carry(transition: Transition): Promise<void> {
    const { history } = this.#bed;
    const about = keyOf(transition).split('/').slice(1);
    history.note(machineMs(), `asks: ${textOf(transition)}`, ...about);
    for (;;)
      try {
        await this.#try(transition);
        return;
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error instanceof InvalidError) throw error;
        history.note(
          machineMs(),
          `${textOf(transition)} failed: ${describeError(error)}`,
          ...about,
        );
        await systemClock.sleep(againMs, this.#signal);
      }
  }

  async #try(transition: Transition): Promise<void> {
    const { client, history } = this.#bed;
    const options = { fieldManager, timeoutMs: callMs, signal: this.#signal };
    switch (transition.kind) {
      case 'apply':
        return this.#apply(transition.wanted);
      case 'delete':
        return this.#delete(transition.name);
      case 'roll':
        await client.resource(resourceTypes.App).apply(appOf(transition), options);
        return;
      case 'drain': {
        if (transition.isOn) history.drains++;
        const spec = { maintenance: transition.isOn ? 'Drain' : 'Normal' };
        await client
          .resource(resourceTypes.Cloudlet)
          .mergePatch(transition.site, undefined, { spec }, options);
      }
    }
  }

  async #apply(wanted: Wanted): Promise<void> {
    const { client, history, appInsts } = this.#bed;
    const known = appInsts.cache.get(`${namespace}/${wanted.name}`)?.metadata;
    if (known?.uid !== undefined) history.ask(known.uid, wanted.name, wanted.place);
    const { metadata } = await client
      .resource<AppInst>(resourceTypes.AppInst)
      .apply(appInstOf(wanted), { fieldManager, timeoutMs: callMs, signal: this.#signal });
    history.ask(metadata.uid ?? '', wanted.name, wanted.place);
  }

  /** Deletes it and waits until it is gone: an object of the same name is another one. */
  async #delete(name: string): Promise<void> {
    const objects = this.#bed.client.resource<AppInst>(resourceTypes.AppInst);
    const options = { timeoutMs: callMs, signal: this.#signal };
    const isThere = (): Promise<boolean> =>
      objects.get(name, namespace, options).then(
        () => true,
        (error: unknown) => {
          if (error instanceof NotFoundError) return false;
          throw error;
        },
      );
    if (!(await isThere())) return;
    await objects.delete(name, namespace, options);
    await until(
      `${name} to be gone`,
      goneMs,
      async () => {
        const now = this.#bed.appInsts.cache.get(`${namespace}/${name}`);
        // The watch may not even have told that it came.
        expect(!now && !(await isThere()), 'it is there');
      },
      { signal: this.#signal, intervalMs: 200 },
    );
  }
}

/** A removal waits for its site, whose link may be down for long; then the deletion is asked for again. */
const goneMs = 60_000;

const keyOf = (transition: Transition): string => {
  switch (transition.kind) {
    case 'apply':
      return `AppInst/${transition.wanted.name}`;
    case 'delete':
      return `AppInst/${transition.name}`;
    case 'roll':
      return `App/${transition.app}`;
    case 'drain':
      return `Cloudlet/${transition.site}`;
  }
};

function textOf(transition: Transition): string {
  switch (transition.kind) {
    case 'apply': {
      const { name, app, place, replicas, isOff, wish } = transition.wanted;
      return `${transition.what} ${name}: ${app} at ${placeText(place)}, ${replicas} replicas, ${isOff ? 'off' : 'on'}, wish ${wish}`;
    }
    case 'delete':
      return `delete ${transition.name}`;
    case 'roll':
      return `roll ${transition.app} to round ${transition.round}`;
    case 'drain':
      return `${transition.isOn ? 'drain' : 'undrain'} ${transition.site}`;
  }
}

const appOf = ({ app, round }: { readonly app: string; readonly round: number }) => ({
  ...{ apiVersion: groupVersion, kind: 'App', metadata: { name: app, namespace } },
  spec: {
    ...{ version: '1', deployment: 'Docker', image: 'web:1' },
    env: [{ name: 'ROUND', value: String(round) }],
    ports: [{ name: 'http', protocol: 'HTTP', port: 8080 }],
  },
});

const appInstOf = ({ name, app, place, replicas, isOff, wish }: Wanted) => ({
  ...{ apiVersion: groupVersion, kind: 'AppInst', metadata: { name, namespace } },
  spec: {
    appRef: { name: app },
    ...(place === 'zone' ? { zoneRef: { name: zoneName } } : { cloudletRef: { name: place.site } }),
    ...{ replicas, powerState: isOff ? ('Off' as const) : ('On' as const) },
    env: [{ name: 'WISH', value: String(wish) }],
  },
});
