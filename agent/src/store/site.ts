/**
 * What the agent remembers of its site between two lives: who it is for, whether it acted, and the last time
 * that was known to be right.
 *
 * Guarantees: `update` writes only what changed, in order, and is seen by `value` at once; `value.complete`
 * says that the desired state on disk was once all that the region wants, so that it may be served from.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { Logger } from '@cloudlet/runtime/base';
import { type Disk, systemDisk } from './disk.ts';
import { Documents } from './documents.ts';

const siteRecord = z.object({
  /** metadata.uid of the Cloudlet, for reports. */
  cloudletUid: z.string().max(64).optional(),
  /** Whether this member acted for the site when it was last alive. */
  active: z.boolean(),
  /** Whether the region once said that all its plans are here. */
  complete: z.boolean(),
  /** Milliseconds since the epoch; no later life starts before it. */
  lastGoodTime: z.number(),
});
export type SiteRecord = z.infer<typeof siteRecord>;

export class SiteStore {
  readonly #documents: Documents;
  #value: SiteRecord = { active: false, complete: false, lastGoodTime: 0 };

  private constructor(folder: string, logger: Logger, disk: Disk) {
    this.#documents = new Documents(join(folder, 'site'), disk, logger);
  }

  static async open(folder: string, logger: Logger, disk: Disk = systemDisk): Promise<SiteStore> {
    const store = new SiteStore(folder, logger, disk);
    await store.#documents.open((name, text) => {
      if (name === 'site') store.#value = siteRecord.parse(JSON.parse(text));
    });
    return store;
  }

  get value(): SiteRecord {
    return this.#value;
  }

  async update(change: Partial<SiteRecord>): Promise<void> {
    const next = { ...this.#value, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.#value)) return;
    this.#value = next;
    await this.#documents.write('site', JSON.stringify(next));
  }

  idle(): Promise<void> {
    return this.#documents.idle();
  }
}
