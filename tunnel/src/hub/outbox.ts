/**
 * What waits to be written to one site's control stream.
 *
 * Guarantees: nothing is serialized before the stream takes it, so that a slow site costs references to the
 * hub's own cache and not copies; of an instance only the latest message waits, in the place of the first;
 * answers overtake plans; more than `maxKeyed` or `maxUrgent` waiting messages end the link.
 */
import type { Writable } from 'node:stream';
import { ProtocolError } from '@cloudlet/runtime/base';
import { formatLine } from '../lines.ts';
import { limits, type HubMessage } from '../wire.ts';

const maxUrgent = 1024;
const maxKeyed = limits.maxInstances * 2;

export class Outbox {
  readonly #stream: Writable;
  readonly #onOverflow: (error: ProtocolError) => void;
  readonly #onUnfit: (message: HubMessage, error: unknown) => void;
  #urgent: HubMessage[] = [];
  readonly #keyed = new Map<string, HubMessage>();
  #isBlocked = false;

  constructor(
    stream: Writable,
    on: {
      readonly overflow: (error: ProtocolError) => void;
      /** A message that no agent would accept was left out. */
      readonly unfit: (message: HubMessage, error: unknown) => void;
    },
  ) {
    this.#stream = stream;
    this.#onOverflow = on.overflow;
    this.#onUnfit = on.unfit;
    stream.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
  }

  get waiting(): number {
    return this.#urgent.length + this.#keyed.size;
  }

  /** Overtakes what is keyed. */
  send(message: HubMessage): void {
    if (this.#urgent.length >= maxUrgent) {
      this.#onOverflow(new ProtocolError(`${maxUrgent} answers wait for the site`));
      return;
    }
    this.#urgent.push(message);
    this.#flush();
  }

  /** Replaces what waits under the same key. */
  sendLatest(key: string, message: HubMessage): void {
    if (this.#keyed.size >= maxKeyed && !this.#keyed.has(key)) {
      this.#onOverflow(new ProtocolError(`${maxKeyed} instances wait for the site`));
      return;
    }
    this.#keyed.set(key, message);
    this.#flush();
  }

  /** Goes after everything that waits now. */
  sendLast(key: string, message: HubMessage): void {
    this.#keyed.delete(key);
    this.sendLatest(key, message);
  }

  #flush(): void {
    while (!this.#isBlocked && this.#stream.writable) {
      const message = this.#urgent.shift() ?? this.#takeKeyed();
      if (!message) return;
      try {
        this.#isBlocked = !this.#stream.write(formatLine(message, limits.maxLineBytes));
      } catch (error) {
        this.#onUnfit(message, error);
      }
    }
  }

  #takeKeyed(): HubMessage | undefined {
    for (const [key, message] of this.#keyed) {
      this.#keyed.delete(key);
      return message;
    }
    return undefined;
  }
}
