/**
 * Sessions that the hub asked a site for: from the request to the stream that the agent opens for it.
 *
 * Guarantees: a request is answered by one stream or one error, within the deadline; a stream that nobody
 * asked for, or that comes too late, is refused; at most `maxSessions` are asked for or open at once.
 */
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { TooManyRequestsError, withDeadline, type Clock } from '@cloudlet/runtime/base';
import { limits } from '../wire.ts';

export class DialBacks {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #awaited = new Map<string, (stream: ServerHttp2Stream) => void>();
  #open = 0;

  constructor(clock: Clock, deadlineMs: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  get open(): number {
    return this.#open;
  }

  /**
   * `id` is as it stands in the path, so percent-encoded.
   * @throws TooManyRequestsError beyond `maxSessions`, DeadlineError when the agent does not dial back, the
   * signal's reason when it aborts.
   */
  async await(id: string, ask: () => void, signal: AbortSignal): Promise<Duplex> {
    if (this.#open + this.#awaited.size >= limits.maxSessions)
      throw new TooManyRequestsError(`the site has ${limits.maxSessions} sessions already`, 5_000);
    if (this.#awaited.has(id)) throw new TooManyRequestsError(`session ${id} is asked for`, 1_000);
    try {
      return await withDeadline(
        `session ${id}: the agent's dial back`,
        this.#deadlineMs,
        this.#clock,
        () =>
          new Promise<Duplex>((resolve) => {
            this.#awaited.set(id, resolve);
            ask();
          }),
        signal,
      );
    } finally {
      this.#awaited.delete(id);
    }
  }

  /** The agent opened a stream for `id`. */
  arrived(id: string, stream: ServerHttp2Stream): void {
    const resolve = this.#awaited.get(id);
    if (!resolve) {
      stream.respond({ ':status': 404 }, { endStream: true });
      stream.close();
      return;
    }
    this.#awaited.delete(id);
    this.#open++;
    stream.once('close', () => this.#open--);
    stream.respond({ ':status': 200 });
    resolve(stream);
  }
}
