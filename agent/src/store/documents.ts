/**
 * A folder of small documents that survive power loss, each with the generation before it.
 *
 * Guarantees: once `write` or `remove` resolved, every later `open` sees that state or a newer one; a
 * document is seen whole or not at all (its first line carries the hash of the rest); writes of one name
 * happen in the order of their calls. A document that fails its hash falls back to the generation before and
 * says so; where both fail it is set aside as `<name>.broken` and `intact` is false. A folder that cannot be
 * written is read all the same.
 * Layout: `<name>` now, `<name>.prev` before, `<name>.next` being written.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describeError, type Logger } from '@cloudlet/runtime/base';
import { type Disk, isMissing, isUnwritable } from './disk.ts';
import { Serial } from './serial.ts';

const header = (text: string): string =>
  `cloudlet-store/1 ${createHash('sha256').update(text).digest('hex')}\n`;

export class Documents {
  readonly #folder: string;
  readonly #disk: Disk;
  readonly #logger: Logger;
  readonly #serial = new Serial();
  #intact = true;

  constructor(folder: string, disk: Disk, logger: Logger) {
    this.#folder = folder;
    this.#disk = disk;
    this.#logger = logger;
  }

  /** Whether all that was ever acknowledged could be read. */
  get intact(): boolean {
    return this.#intact;
  }

  /** Reads every document that `accepts` takes; it throws where a text is not what it should be. */
  async open(accepts: (name: string, text: string) => void): Promise<void> {
    const files = await this.#filesThere();
    for (const file of files.filter((name) => name.endsWith('.next') || name.endsWith('.link')))
      await tidied(this.#disk.remove(join(this.#folder, file)));
    const names = new Set(
      files
        .filter((file) => !/\.(next|link|broken)$/.test(file))
        .map((file) => file.replace(/\.prev$/, '')),
    );
    for (const name of [...names].sort()) await this.#load(name, accepts);
  }

  async #filesThere(): Promise<readonly string[]> {
    await tidied(this.#disk.makeFolder(this.#folder));
    try {
      return await this.#disk.list(this.#folder);
    } catch (error) {
      if (isMissing(error)) return []; // and cannot be made
      throw error;
    }
  }

  async #load(name: string, accepts: (name: string, text: string) => void): Promise<void> {
    const path = join(this.#folder, name);
    try {
      accepts(name, await this.#readChecked(path));
      return;
    } catch (error) {
      this.#logger.error('a file of the store cannot be used; falling back to the one before', {
        file: path,
        error: describeError(error),
      });
    }
    try {
      accepts(name, await this.#readChecked(`${path}.prev`));
    } catch (error) {
      this.#intact = false;
      this.#logger.error('a file of the store is lost; the region will send it again', {
        file: path,
        error: describeError(error),
      });
      await this.#disk.rename(path, `${path}.broken`).catch(() => undefined); // may be missing
      await tidied(this.#disk.remove(`${path}.prev`));
    }
  }

  #readChecked(path: string): Promise<string> {
    return readChecked(path, this.#disk);
  }

  /** Makes `text` the document `name`, for good when it resolves. */
  write(name: string, text: string): Promise<void> {
    return this.#serial.run(name, async () => {
      const path = join(this.#folder, name);
      await this.#disk.writeSynced(`${path}.next`, header(text) + text);
      await this.#keepGeneration(path);
      await this.#disk.rename(`${path}.next`, path);
      await this.#disk.syncFolder(this.#folder);
    });
  }

  /** The present document becomes `.prev` without ever leaving its own name. */
  async #keepGeneration(path: string): Promise<void> {
    await this.#disk.remove(`${path}.link`);
    try {
      await this.#disk.link(path, `${path}.link`);
    } catch (error) {
      if (isMissing(error)) return; // the first generation
      throw error;
    }
    await this.#disk.rename(`${path}.link`, `${path}.prev`);
  }

  /** Settles when no write is under way. */
  idle(): Promise<void> {
    return this.#serial.idle();
  }

  /** The older generation goes first and for good, else a loss of power could bring it back. */
  remove(name: string): Promise<void> {
    return this.#serial.run(name, async () => {
      const path = join(this.#folder, name);
      await this.#disk.remove(`${path}.prev`);
      await this.#disk.syncFolder(this.#folder);
      await this.#disk.remove(path);
      await this.#disk.syncFolder(this.#folder);
    });
  }
}

/** What an unwritable disk keeps of a clean-up does no harm: the next start tries it again. */
async function tidied(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isUnwritable(error)) throw error;
  }
}

/** The document at `path`, or the generation before it, for who looks on beside its owner: changes nothing. */
export async function peekDocument(path: string, disk: Disk): Promise<string | undefined> {
  for (const generation of [path, `${path}.prev`])
    try {
      return await readChecked(generation, disk);
    } catch {
      // The one before may do.
    }
  return undefined;
}

async function readChecked(path: string, disk: Disk): Promise<string> {
  const whole = await disk.read(path);
  const text = whole.slice(whole.indexOf('\n') + 1);
  if (whole !== header(text) + text)
    throw new Error(`${path}: its content does not match its hash`);
  return text;
}
