/**
 * The ledgers of all sites, and the one way to write them.
 *
 * Guarantees: changes of one site that are asked for while a write is under way go into the next write
 * together; each change sees the result of those before it; a write carries the resourceVersion that it was
 * made from, so that a leader that was paused, or another process, cannot overwrite what it has not read;
 * after a conflict every change of the batch is made again on the ledger as it is then. A change that throws
 * fails alone. A ledger that is missing is made from what the AppInsts' statuses say.
 */
import { type CloudletLedger, type CloudletLedgerSpec, groupVersion } from '@cloudlet/crds';
import { ConflictError, NotFoundError } from '@cloudlet/runtime/base';
import type { Informer, ResourceClient } from '@cloudlet/runtime/kubernetes';
import { createFreshest } from '../freshest.ts';

/** What a change comes to; the same ledger back means that there is nothing to write. */
export interface Change<T> {
  readonly ledger: CloudletLedgerSpec;
  readonly result: T;
}

export interface Site {
  readonly name: string;
  /** Instance id of the Cloudlet. */
  readonly id: string;
}

export interface LedgerBook {
  /** The newest state known. */
  view(cloudlet: string): CloudletLedgerSpec | undefined;
  /** All ledgers as the API server itself has them; `view` then gives nothing older. */
  refreshAll(): Promise<readonly CloudletLedger[]>;
  /**
   * Resolves when the watch has brought what this process wrote to the ledger last. It brings changes in their
   * order, so the cache then has all that anybody wrote to any ledger before.
   */
  seen(cloudlet: string): Promise<void>;
  /** @throws ConflictError when others kept writing, and whatever `change` throws. */
  write<T>(site: Site, change: (ledger: CloudletLedgerSpec) => Change<T>): Promise<T>;
}

export interface LedgerBookOptions {
  readonly client: Pick<ResourceClient<CloudletLedger>, 'get' | 'list' | 'create' | 'replace'>;
  readonly informer: Pick<Informer<CloudletLedger>, 'cache' | 'subscribe'>;
  /** The first ledger of a site that has none. */
  readonly seed: (site: Site) => CloudletLedgerSpec;
  /** Told of each write with the number of changes in it. */
  readonly onWrite?: (changes: number) => void;
}

/** Conflicts in a row before a batch gives up; each means that somebody else wrote. */
const maxConflicts = 10;

interface Request {
  readonly site: Site;
  readonly change: (ledger: CloudletLedgerSpec) => Change<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export function createLedgerBook(options: LedgerBookOptions): LedgerBook {
  const { client, informer } = options;
  const freshest = createFreshest(informer);
  const queues = new Map<string, Request[]>();

  const drain = async (name: string): Promise<void> => {
    // Requests made in the same turn of the event loop share the first write too.
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const batch = queues.get(name) ?? [];
      if (batch.length === 0) break;
      queues.set(name, []);
      await writeBatch(name, batch);
    }
    queues.delete(name);
  };

  const writeBatch = async (name: string, batch: readonly Request[]): Promise<void> => {
    let base = freshest.get(name);
    try {
      for (let conflicts = 0; ; conflicts++) {
        const outcome = await attempt(name, base, batch);
        if (outcome === 'written') return;
        if (conflicts === maxConflicts)
          throw new ConflictError(`CloudletLedger ${name}: changed ${conflicts} times meanwhile`);
        base = await readLive(name);
      }
    } catch (error) {
      for (const request of batch) request.reject(error);
    }
  };

  const attempt = async (
    name: string,
    base: CloudletLedger | undefined,
    batch: readonly Request[],
  ): Promise<'written' | 'conflict'> => {
    const site = batch[batch.length - 1]?.site ?? { name, id: '' };
    const start = startOf(base, options.seed, site);
    let ledger = start;
    const settle: (() => void)[] = [];
    for (const request of batch) {
      try {
        const { ledger: next, result } = request.change(ledger);
        ledger = next;
        settle.push(() => request.resolve(result));
      } catch (error) {
        settle.push(() => request.reject(error));
      }
    }
    if (ledger !== start || (base && base.spec !== start)) {
      try {
        freshest.wrote(await send(name, base, ledger));
        options.onWrite?.(batch.length);
      } catch (error) {
        if (error instanceof ConflictError || error instanceof NotFoundError) return 'conflict';
        throw error;
      }
    }
    for (const done of settle) done();
    return 'written';
  };

  const send = (
    name: string,
    base: CloudletLedger | undefined,
    spec: CloudletLedgerSpec,
  ): Promise<CloudletLedger> =>
    base
      ? client.replace({ ...base, spec })
      : client.create({
          apiVersion: groupVersion,
          kind: 'CloudletLedger',
          metadata: { name },
          spec,
        });

  let listing: Promise<unknown> = Promise.resolve();
  let nextList: Promise<readonly CloudletLedger[]> | undefined;
  const listLive = async (): Promise<readonly CloudletLedger[]> => {
    await listing.catch(() => undefined); // told to those who waited for it
    nextList = undefined;
    const list = client.list();
    listing = list;
    return (await list).items.map((ledger) => freshest.wrote(ledger));
  };

  const readLive = async (name: string): Promise<CloudletLedger | undefined> => {
    try {
      return freshest.wrote(await client.get(name));
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  };

  return {
    view: (cloudlet) => freshest.get(cloudlet)?.spec,
    // Who asks while a list is under way shares the next one: his has to begin after he asked.
    refreshAll: () => (nextList ??= listLive()),
    seen: (cloudlet) => freshest.seen(cloudlet),
    write<T>(site: Site, change: (ledger: CloudletLedgerSpec) => Change<T>): Promise<T> {
      return new Promise<T>((resolve, reject) => {
        const request: Request = {
          site,
          change,
          resolve: (result) => resolve(result as T),
          reject,
        };
        const queue = queues.get(site.name);
        if (queue) queue.push(request);
        else {
          queues.set(site.name, [request]);
          void drain(site.name);
        }
      });
    },
  };
}

/**
 * What a batch starts from. A ledger of another Cloudlet that had the name is void but for its sequence,
 * which an agent that is still out there may have seen.
 */
function startOf(
  base: CloudletLedger | undefined,
  seed: (site: Site) => CloudletLedgerSpec,
  site: Site,
): CloudletLedgerSpec {
  if (base?.spec.cloudletId === site.id) return base.spec;
  const fresh = seed(site);
  return base ? { ...fresh, sequence: Math.max(fresh.sequence, base.spec.sequence) } : fresh;
}
