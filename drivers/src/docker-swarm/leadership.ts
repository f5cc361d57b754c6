/**
 * Who acts while nobody leads: the member that led last, so that just one reports the lost quorum.
 *
 * Guarantees: the answer is on disk, so it outlives the agent; a member that saw another one lead lets go.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const fileName = 'swarm-led';

export class Leadership {
  readonly #folder: string | undefined;
  #led: boolean | undefined;

  /** Without a folder the answer ends with the process. */
  constructor(folder: string | undefined) {
    this.#folder = folder;
  }

  /** Notes what the swarm says while it has a leader. */
  async saw(leads: boolean): Promise<void> {
    if ((await this.ledLast()) === leads) return;
    this.#led = leads;
    if (this.#folder === undefined) return;
    const path = join(this.#folder, fileName);
    await mkdir(this.#folder, { recursive: true });
    await writeFile(`${path}.new`, leads ? 'yes\n' : 'no\n');
    await rename(`${path}.new`, path);
  }

  async ledLast(): Promise<boolean> {
    if (this.#led === undefined && this.#folder !== undefined)
      this.#led = await readFile(join(this.#folder, fileName), 'utf8').then(
        (text) => text.trim() === 'yes',
        () => false,
      );
    return this.#led ?? false;
  }
}
