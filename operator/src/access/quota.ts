/** How many sessions a user, and all users together, hold at once. */
import { TooManyRequestsError } from '@cloudlet/runtime/base';

export interface QuotaOptions {
  readonly perUser: number;
  readonly total: number;
}

export class Quota {
  readonly #options: QuotaOptions;
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(options: QuotaOptions) {
    this.#options = options;
  }

  get total(): number {
    return this.#total;
  }

  /**
   * Takes a place; the result gives it back, once.
   * @throws TooManyRequestsError
   */
  take(user: string): () => void {
    const held = this.#held.get(user) ?? 0;
    if (held >= this.#options.perUser)
      throw new TooManyRequestsError(
        `${held} sessions are open: as many as a user may have`,
        5_000,
      );
    if (this.#total >= this.#options.total)
      throw new TooManyRequestsError('the access server holds as many sessions as it may', 5_000);
    this.#held.set(user, held + 1);
    this.#total++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#total--;
      const rest = (this.#held.get(user) ?? 1) - 1;
      if (rest === 0) this.#held.delete(user);
      else this.#held.set(user, rest);
    };
  }
}
