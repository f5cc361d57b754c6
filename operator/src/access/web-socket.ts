/**
 * A session over a WebSocket, as kubectl speaks to pods: `v5.channel.k8s.io` and `v4.channel.k8s.io`.
 *
 * Each message starts with the byte of its channel: 0 input, 1 output, 2 error output, 3 the end as a
 * metav1.Status, 4 the terminal's size as `{"Width":80,"Height":24}`; with v5, 255 and the number of a channel
 * closes that channel. A forwarded port is channel 0 and 1.
 *
 * Guarantees: what the caller does not read is not read from the site, and the other way round; a caller
 * that answers no ping for two rounds is cut off; a session without data for `idleMs` or older than `maxMs`
 * ends; every session that the site ends is told by a Status before the close, so a close without one is an
 * error that the caller can see.
 */
import type { Readable, Writable } from 'node:stream';
import { type Clock, describeError, type Logger, type Timer } from '@cloudlet/runtime/base';
import type { SessionExit, TunnelSession } from '@cloudlet/tunnel';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import { type Status, statusOfExit } from './status.ts';

export const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;

export const channels = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  error: 3,
  resize: 4,
  close: 255,
} as const;

export interface SessionTimes {
  /** @default 300_000 */
  readonly idleMs: number;
  readonly maxMs: number;
  readonly pingMs: number;
}

export interface BridgeOptions {
  readonly webSocket: WebSocket;
  readonly session: Required<TunnelSession>;
  readonly times: SessionTimes;
  readonly clock: Clock;
  readonly logger: Logger;
}

const size = z.object({
  Width: z.int().min(0).max(65_535),
  Height: z.int().min(0).max(65_535),
});

const missedPings = 2;
/** Time for the caller to answer our close. */
const closeMs = 5_000;

/** Carries the session until either end is over. Never rejects. */
export async function bridge(options: BridgeOptions): Promise<void> {
  const { webSocket, session, clock, logger } = options;
  const closed = new Promise<void>((resolve) => webSocket.once('close', () => resolve()));
  webSocket.on('error', (error) => logger.debug('a WebSocket failed', { error }));
  const watch = new Watch(options);
  const ended = Promise.withResolvers<SessionExit>();
  watch.onEnd((reason) => ended.resolve({ reason }));
  receive(options, watch);
  const output = Promise.all([
    send(session.stdout, channels.stdout, options, watch),
    send(session.stderr, channels.stderr, options, watch),
  ]);
  const finished = output.then(() => session.exit);
  try {
    const exit = await Promise.race([finished, ended.promise, closed.then(() => undefined)]);
    if (exit) await tell(webSocket, statusOfExit(exit));
  } catch (error) {
    await tell(webSocket, statusOfExit({ reason: describeError(error).slice(0, 1024) }));
  }
  finished.catch(() => undefined); // the caller went first
  watch.stop();
  session.close();
  webSocket.close(1000);
  const timer = clock.after(closeMs, () => webSocket.terminate());
  await closed;
  timer.cancel();
}

/** Pings, and ends what is idle, too old or gone. */
class Watch {
  readonly #options: BridgeOptions;
  readonly #started: number;
  #active: number;
  #unanswered = 0;
  #timer: Timer | undefined;
  #end: (reason: string) => void = () => undefined;

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#started = options.clock.monotonic();
    this.#active = this.#started;
    options.webSocket.on('pong', () => (this.#unanswered = 0));
    this.#next();
  }

  onEnd(end: (reason: string) => void): void {
    this.#end = end;
  }

  /** Data went by. */
  active(): void {
    this.#active = this.#options.clock.monotonic();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #next(): void {
    const { clock, times } = this.#options;
    this.#timer = clock.after(times.pingMs, () => this.#look());
  }

  #look(): void {
    const { clock, times, webSocket } = this.#options;
    const now = clock.monotonic();
    if (this.#unanswered >= missedPings) {
      webSocket.terminate();
      return;
    }
    if (now - this.#active >= times.idleMs)
      this.#end(`nothing was sent for ${Math.round(times.idleMs / 1000)} s`);
    if (now - this.#started >= times.maxMs)
      this.#end(`a session lasts ${Math.round(times.maxMs / 1000)} s at most`);
    this.#unanswered++;
    if (webSocket.readyState === webSocket.OPEN) webSocket.ping();
    this.#next();
  }
}

function receive({ webSocket, session }: BridgeOptions, watch: Watch): void {
  webSocket.on('message', (message) => {
    const data = bufferOf(message);
    watch.active();
    const rest = data.subarray(1);
    switch (data[0]) {
      case channels.stdin:
        if (rest.length > 0) pass(rest, session.stdin, webSocket);
        break;
      case channels.resize:
        resize(rest, session);
        break;
      case channels.close:
        if (rest[0] === channels.stdin) session.stdin.end();
        break;
      default: // a channel that we do not know is not for us
    }
  });
}

function pass(data: Buffer, stdin: Writable, webSocket: WebSocket): void {
  if (stdin.writableEnded || stdin.destroyed || stdin.write(data)) return;
  webSocket.pause();
  const go = (): void => {
    stdin.off('drain', go).off('close', go);
    webSocket.resume();
  };
  stdin.on('drain', go).on('close', go);
}

function resize(data: Buffer, session: Required<TunnelSession>): void {
  try {
    const { Width, Height } = size.parse(JSON.parse(data.toString('utf8')));
    void session.resize(Width, Height);
  } catch {
    // A size that cannot be read leaves the terminal as it is.
  }
}

async function send(
  source: Readable,
  channel: number,
  { webSocket }: BridgeOptions,
  watch: Watch,
): Promise<void> {
  for await (const chunk of source) {
    watch.active();
    await sendFrame(webSocket, channel, chunk as Buffer);
  }
}

/** Resolves when the socket has taken it: the next chunk is read only then. */
function sendFrame(webSocket: WebSocket, channel: number, data: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    webSocket.send(Buffer.concat([Buffer.of(channel), data]), (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

async function tell(webSocket: WebSocket, status: Status): Promise<void> {
  if (webSocket.readyState !== webSocket.OPEN) return;
  await sendFrame(webSocket, channels.error, Buffer.from(JSON.stringify(status))).catch(
    () => undefined, // the caller went first
  );
}

function bufferOf(message: Buffer | ArrayBuffer | Buffer[]): Buffer {
  if (Array.isArray(message)) return Buffer.concat(message);
  return Buffer.isBuffer(message) ? message : Buffer.from(message);
}
