/**
 * Keeps one member of a site told: first the differences to what it has, then every change.
 *
 * Guarantees: level-triggered and coalesced: a burst of changes to one instance costs one message, always
 * of the latest order; nothing is sent twice to a link that has it; the list of orphans is sent again when
 * it changes. A site that is ahead of the region, as after a restore, is sent the order that it is ahead of,
 * once: it follows none that is older than what it has, and answers by reporting again, which is how the
 * region learns of it. What it shall remove by a number that it is past is announced as an orphan besides, for it
 * may be placed elsewhere, and then the site's report of it counts for nothing. Nothing is ever removed because it
 * is absent: see `orders.ts`.
 */
import type { Plan } from '@cloudlet/crds';
import type { SiteLink } from '@cloudlet/tunnel';
import { differenceOf, type Known, type Order } from './orders.ts';

export interface PlanTracing {
  /** Milliseconds since the epoch. */
  now(): number;
  /** @returns the traceparent that goes with the plan. */
  planSent(plan: Plan, began: number): string;
}

export interface StreamOptions {
  readonly link: Pick<
    SiteLink,
    'hello' | 'closed' | 'sendPlan' | 'sendRemoval' | 'sendForget' | 'sendSynced'
  >;
  /** Ids that the region knows at the site. */
  readonly idsOf: () => readonly string[];
  readonly orderOf: (id: string) => Order;
  /** Whether the operator can read that the site carried out this removal. */
  readonly isOnRecord: (id: string, sequence: number) => boolean;
  /** The site carried out this removal, which is not on record yet. */
  readonly onRemoved: (id: string, sequence: number) => void;
  /** The site is ahead of the region, as after a restore. */
  readonly onAhead: (id: string) => void;
  /** A message was sent, of this kind. */
  readonly onSent: (kind: 'plan' | 'remove' | 'forget') => void;
  /** Where there is a collector. */
  readonly tracing?: PlanTracing | undefined;
  /** Runs `task` soon; many calls before that are one burst. @default setImmediate */
  readonly soon?: (task: () => void) => void;
}

export class SiteStream {
  readonly #options: StreamOptions;
  readonly #known: Map<string, Known>;
  readonly #dirty = new Set<string>();
  readonly #orphans = new Set<string>();
  /** Sequence of the order that an instance was ahead of, and the site was sent. */
  readonly #behind = new Map<string, number>();
  #announced: string | undefined;
  #scheduled = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#known = new Map(options.link.hello.have.map((item) => [item.id, item]));
  }

  /** Sends all differences, then `synced`. */
  start(): void {
    for (const id of new Set([...this.#options.idsOf(), ...this.#known.keys()]))
      this.#dirty.add(id);
    this.#flush();
  }

  /** Has the order of `id` looked at again soon. */
  touch(id: string): void {
    this.#dirty.add(id);
    if (this.#scheduled) return;
    this.#scheduled = true;
    (this.#options.soon ?? setImmediate)(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** The site said that it carried out a removal of `id`. */
  removed(id: string, sequence: number): void {
    this.#known.set(id, { sequence, hash: '', removed: true });
    this.touch(id);
  }

  #flush(): void {
    if (this.#options.link.closed.aborted) return;
    const ids = [...this.#dirty];
    this.#dirty.clear();
    for (const id of ids) this.#settle(id);
    this.#announceOrphans();
  }

  #settle(id: string): void {
    const { link, onSent, tracing } = this.#options;
    const began = tracing?.now() ?? 0;
    const order = this.#options.orderOf(id);
    const known = this.#known.get(id);
    const difference = differenceOf(order, known);
    this.#orphans.delete(id);
    if (difference === 'plan' && order.kind === 'plan') {
      link.sendPlan(order.plan, order.hash, tracing?.planSent(order.plan, began));
      this.#known.set(id, { sequence: order.plan.sequence, hash: order.hash });
      onSent('plan');
    } else if (difference === 'remove' && order.kind === 'remove') {
      this.#sendRemoval(order, id);
    } else if (difference === 'removed' && known) {
      // Until the operator has read the record the order stands, and there is nothing left to do.
      const { isOnRecord, onRemoved } = this.#options;
      if (!isOnRecord(id, known.sequence)) onRemoved(id, known.sequence);
    } else if (difference === 'forget') {
      link.sendForget(id);
      this.#known.delete(id);
      onSent('forget');
    } else if (difference === 'orphan') {
      this.#orphans.add(id);
    } else if (difference === 'ahead') {
      this.#sendOlder(id, order);
      // A plan's catch-up is by the instance's report, which is not the site's to make where it is not placed.
      if (order.kind === 'remove') this.#orphans.add(id);
    }
  }

  #sendOlder(id: string, order: Order): void {
    if (order.kind !== 'plan' && order.kind !== 'remove') return;
    const { sequence } = order.kind === 'plan' ? order.plan : order.removal;
    if (this.#behind.get(id) === sequence) return;
    this.#behind.set(id, sequence);
    const { link, onAhead } = this.#options;
    if (order.kind === 'plan') link.sendPlan(order.plan, order.hash);
    else link.sendRemoval(order.removal);
    onAhead(id);
  }

  /** Once a sequence: the site keeps the order on disk and repeats it by itself. */
  #sendRemoval(order: Extract<Order, { kind: 'remove' }>, id: string): void {
    const { sequence } = order.removal;
    const hash = `remove:${sequence}`;
    const known = this.#known.get(id);
    if (known?.hash === hash) return;
    this.#options.link.sendRemoval(order.removal);
    this.#known.set(id, { sequence, hash });
    this.#options.onSent('remove');
  }

  #announceOrphans(): void {
    const orphans = [...this.#orphans].sort();
    const text = orphans.join(',');
    if (text === this.#announced) return;
    this.#announced = text;
    this.#options.link.sendSynced(orphans);
  }
}
