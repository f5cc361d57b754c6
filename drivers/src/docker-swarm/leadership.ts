/**
 * Who acts while nobody leads: the member that led last, so that just one reports the lost quorum.
 *
 * Guarantees: the answer is on disk, so it outlives the agent; a member that saw another one lead lets go. A disk
 * that cannot be written costs that memory and no observation.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileName = 'swarm-led';

export class Leadership {
  readonly #folder: string | undefined;
  #led: boolean | undefined;
  #isKept = true;

  /** Without a folder the answer ends with the process. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  /** Notes what the swarm says while it has a leader. */
  async saw(leads: boolean): Promise<void> {
    if ((await this.ledLast()) === leads && this.#isKept) return;
    this.#led = leads;
    if (this.#folder === undefined) return;
    this.#isKept = await keep(this.#folder, leads).then(
      () => true,
      () => false, // tried again with the next look
    );
  }

  /** The last answer; of an earlier life where this one has none. */
  async ledLast(): Promise<boolean> {
    if (this.#led === undefined && this.#folder !== undefined)
      this.#led = await readFile(join(this.#folder, fileName), 'utf8').then(
        (text) => text.trim() === 'yes',
        () => false,
      );
    return this.#led ?? false;
  }
}

async function keep(folder: string, leads: boolean): Promise<void> {
  const path = join(folder, fileName);
  await mkdir(folder, { recursive: true });
  await writeFile(`${path}.new`, leads ? 'yes\n' : 'no\n');
  await rename(`${path}.new`, path);
}
