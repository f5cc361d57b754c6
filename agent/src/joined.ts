/**
 * Which region and Cloudlet the agent belongs to, kept from its first start on.
 *
 * Guarantees: a state folder belongs to one Cloudlet for good; the token is kept, readable by the owner
 * alone, until a certificate is there and no longer; no error names a token.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { formatJoin, type Join, parseJoin } from '@cloudlet/tunnel/agent';
import { describeError, InvalidError, type Logger, TerminalError } from '@cloudlet/runtime/base';
import { Documents, isUnwritable, systemDisk } from './store/index.ts';

export class JoinStore {
  readonly #documents: Documents;
  readonly #logger: Logger;
  #join: Join | undefined;

  private constructor(folder: string, logger: Logger) {
    this.#documents = new Documents(join(folder, 'join'), systemDisk, logger);
    this.#logger = logger;
  }

  static async open(folder: string, logger: Logger): Promise<JoinStore> {
    const store = new JoinStore(folder, logger);
    await store.#documents.open((name, text) => {
      if (name === 'join') store.#join = parseJoin(text);
    });
    return store;
  }

  get value(): Join | undefined {
    return this.#join;
  }

  /**
   * Takes a join that was handed to this start; a later one of the same Cloudlet replaces the one before, for
   * this start alone where the folder cannot be written.
   * @throws TerminalError when the folder belongs to another Cloudlet.
   */
  async take(given: Join): Promise<void> {
    const known = this.#join?.cloudlet;
    if (known !== undefined && known !== given.cloudlet)
      throw new TerminalError(
        'OtherCloudlet',
        `the state folder belongs to Cloudlet ${known}, the join is for ${given.cloudlet}; give another --state-dir`,
      );
    this.#join = given;
    try {
      await this.#documents.write('join', formatJoin(given));
    } catch (error) {
      if (known === undefined || !isUnwritable(error)) throw error;
      this.#logger.warn('cannot keep the join', { error: describeError(error) });
    }
  }

  /** A certificate is there: the token has done its work. Both generations of the file lose it. */
  async dropToken(): Promise<void> {
    if (!this.#join?.token) return;
    const { token: _, ...rest } = this.#join;
    this.#join = rest;
    await this.#documents.write('join', formatJoin(rest));
    await this.#documents.write('join', formatJoin(rest));
  }
}

/**
 * Reads a join from a file, or from standard input for `-`.
 * @throws TerminalError that says what to do.
 */
export async function readJoin(path: string): Promise<Join> {
  let text: string;
  try {
    text = path === '-' ? await readAll(process.stdin) : await readFile(path, 'utf8');
  } catch (cause) {
    throw new TerminalError('NoJoin', `cannot read the join from ${path}`, { cause });
  }
  try {
    return parseJoin(text);
  } catch (error) {
    if (!(error instanceof InvalidError)) throw error;
    throw new TerminalError(
      'NoJoin',
      `${path === '-' ? 'standard input' : path}: ${error.message}; it is what 'kubectl cloudlet join NAME' prints`,
    );
  }
}
