/**
 * Small notes, one for each instance, that outlive the process: checkpoints of long jobs, and since when a
 * condition has been as it is.
 *
 * Guarantees: a note is on disk when `put` resolves; a note that cannot be read is as good as none, and is
 * logged; `get` never waits.
 */
import { join } from 'node:path';
import type { z } from 'zod';
import type { Logger } from '@cloudlet/runtime/base';
import { type Disk, systemDisk } from './disk.ts';
import { Documents } from './documents.ts';

export class Notes<T> {
  readonly #documents: Documents;
  readonly #schema: z.ZodType<T>;
  readonly #values = new Map<string, T>();

  private constructor(folder: string, schema: z.ZodType<T>, logger: Logger, disk: Disk) {
    this.#documents = new Documents(folder, disk, logger);
    this.#schema = schema;
  }

  static async open<T>(
    folder: string,
    name: string,
    schema: z.ZodType<T>,
    logger: Logger,
    disk: Disk = systemDisk,
  ): Promise<Notes<T>> {
    const notes = new Notes(join(folder, name), schema, logger, disk);
    await notes.#documents.open((id, text) => {
      notes.#values.set(id, notes.#schema.parse(JSON.parse(text)));
    });
    return notes;
  }

  get(id: string): T | undefined {
    return this.#values.get(id);
  }

  ids(): readonly string[] {
    return [...this.#values.keys()];
  }

  async put(id: string, value: T): Promise<void> {
    this.#values.set(id, value);
    await this.#documents.write(id, JSON.stringify(value));
  }

  async drop(id: string): Promise<void> {
    if (!this.#values.delete(id)) return;
    await this.#documents.remove(id);
  }

  idle(): Promise<void> {
    return this.#documents.idle();
  }
}
