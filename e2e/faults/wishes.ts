/**
 * What the bed asks of the region while faults go on: a row of transitions that the seed gives.
 *
 * Guarantees: pure; `wanted` is what was asked last of each name. Every change of an instance's environment
 * has a number of its own and every roll-out of an App a higher round, so that what a platform runs tells
 * which wish it is of.
 */
import type { Random } from '@cloudlet/runtime/base';
import { pick, weighted } from './schedule.ts';

/** Any site of the zone, or one by name. */
export type Place = 'zone' | { readonly site: string };

export interface Wanted {
  readonly name: string;
  readonly app: string;
  readonly place: Place;
  readonly replicas: number;
  readonly isOff: boolean;
  readonly wish: number;
}

export type Transition =
  | { readonly kind: 'apply'; readonly what: string; readonly wanted: Wanted }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'roll'; readonly app: string; readonly round: number }
  | { readonly kind: 'drain'; readonly site: string; readonly isOn: boolean };

export interface WishesOptions {
  readonly random: Random;
  readonly sites: readonly string[];
  readonly instances: number;
  readonly apps: number;
}

const most = 3;
const actions = [
  { what: 'change', weight: 6 },
  { what: 'scale', weight: 6 },
  { what: 'power', weight: 4 },
  { what: 'move', weight: 4 },
  { what: 'delete', weight: 4 },
  { what: 'roll', weight: 1 },
  { what: 'drain', weight: 1 },
] as const;

export class Wishes {
  readonly wanted = new Map<string, Wanted>();
  /** By App. */
  readonly rounds = new Map<string, number>();
  readonly names: readonly string[];
  readonly #options: WishesOptions;
  #wish = 0;
  #drained: string | undefined;

  constructor(options: WishesOptions) {
    this.#options = options;
    this.names = Array.from({ length: options.instances }, (_, index) => `i-${index + 1}`);
    for (let app = 1; app <= options.apps; app++) this.rounds.set(`app-${app}`, 1);
  }

  next(): Transition {
    const { random } = this.#options;
    const name = pick(this.names, random);
    const { what } = weighted(actions, random);
    const now = this.wanted.get(name);
    if (what === 'roll') return this.#roll();
    if (what === 'drain') return this.#drain();
    if (!now) return this.#want('create', this.#fresh(name));
    if (what === 'delete') {
      this.wanted.delete(name);
      return { kind: 'delete', name };
    }
    return this.#want(what, this.#changed(now, what));
  }

  /** The last drain ends. */
  undrain(): Transition | undefined {
    return this.#drained === undefined ? undefined : this.#drain();
  }

  #fresh(name: string): Wanted {
    const { random } = this.#options;
    const app = pick([...this.rounds.keys()], random);
    const place = random() < 0.5 ? 'zone' : { site: pick(this.#options.sites, random) };
    return { name, app, place, replicas: 1, isOff: false, wish: ++this.#wish };
  }

  #changed(now: Wanted, what: 'change' | 'scale' | 'power' | 'move'): Wanted {
    const { random, sites } = this.#options;
    switch (what) {
      case 'change':
        return { ...now, wish: ++this.#wish };
      case 'scale':
        return { ...now, replicas: 1 + ((now.replicas + (random() < 0.5 ? 0 : 1)) % most) };
      case 'power':
        return { ...now, isOff: !now.isOff };
      case 'move':
        return now.place === 'zone' ? now : { ...now, place: { site: pick(sites, random) } };
    }
  }

  #want(what: string, wanted: Wanted): Transition {
    this.wanted.set(wanted.name, wanted);
    return { kind: 'apply', what, wanted };
  }

  #roll(): Transition {
    const app = pick([...this.rounds.keys()], this.#options.random);
    const round = (this.rounds.get(app) ?? 0) + 1;
    this.rounds.set(app, round);
    return { kind: 'roll', app, round };
  }

  /** One site at a time. */
  #drain(): Transition {
    const isOn = this.#drained === undefined;
    const site = this.#drained ?? pick(this.#options.sites, this.#options.random);
    this.#drained = isOn ? site : undefined;
    return { kind: 'drain', site, isOn };
  }
}
