/**
 * Lets new connections in at a steady pace, so that a storm of them delays but never drowns the hub.
 *
 * Guarantees: handshakes start in the order of arrival, `handshakes` a second at most; a peer that sends
 * nothing takes no place from others; who is not settled within `handshakeMs` is destroyed; beyond
 * `maxPending` a connection is reset at once.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer } from '@cloudlet/runtime/base';
import { TokenBucket, type Rate } from '../rate-limit.ts';

export interface AdmissionOptions {
  readonly handshakes: Rate;
  readonly maxPending: number;
  readonly handshakeMs: number;
  readonly clock: Clock;
}

/** A connection that is not yet known to be anybody's. */
export interface Entrant {
  readonly socket: Socket;
  readonly remoteAddress: string;
  /** It is known now; its deadline is over. */
  settle(): void;
}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #bucket: TokenBucket;
  readonly #pending = new Set<Socket>();
  #waiting: { socket: Socket; start: () => void }[] = [];
  #pump: Timer | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.handshakes, options.clock);
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** Calls `start` when it is this connection's turn. False: there were too many, and it was reset. */
  enter(socket: Socket, start: (entrant: Entrant) => void): boolean {
    if (this.#pending.size >= this.#options.maxPending) {
      socket.resetAndDestroy();
      return false;
    }
    this.#pending.add(socket);
    const deadline = this.#options.clock.after(this.#options.handshakeMs, () => socket.destroy());
    const settle = (): void => {
      deadline.cancel();
      this.#pending.delete(socket);
    };
    socket.once('close', settle);
    const entrant = { socket, remoteAddress: socket.remoteAddress ?? '', settle };
    this.#waiting.push({ socket, start: () => start(entrant) });
    this.#startDue();
    return true;
  }

  close(): void {
    this.#pump?.cancel();
    this.#waiting = [];
    for (const socket of this.#pending) socket.destroy();
  }

  #startDue(): void {
    this.#pump?.cancel();
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (!next.socket.destroyed) {
        if (!this.#bucket.tryTake()) break;
        next.start();
      }
      this.#waiting.shift();
    }
    if (this.#waiting.length > 0)
      this.#pump = this.#options.clock.after(this.#bucket.waitMs, () => this.#startDue());
  }
}
