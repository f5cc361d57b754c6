/**
 * Frames on a session's stream: how they are cut, and how they are taken off it.
 *
 * A frame is a byte for the channel, four bytes for the length (big-endian), and as many bytes.
 *
 * Guarantees: data passes on as it arrives, whole frame or not; who takes slowly stops the stream, and nothing
 * is held but what the streams' own marks allow; a frame that the protocol does not know, or that is too long,
 * is refused before any of it is taken.
 *
 * Why by events and not by async iteration: bulk comes in pieces of 16 KiB, and a promise for each costs a
 * third of the throughput.
 */
import type { Duplex, Writable } from 'node:stream';
import { ProtocolError } from '@cloudlet/runtime/base';

export const sessionChannels = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  resize: 3,
  exit: 4,
  stdinEnd: 5,
} as const;
export type Channel = (typeof sessionChannels)[keyof typeof sessionChannels];

const headerBytes = 5;
/** Longest data frame; a longer chunk is cut. */
export const maxFrameBytes = 64 * 1024;
/** Longest frame of the other kinds. */
export const maxControlBytes = 4096;
/**
 * Written but not yet taken by the stream, whose own mark of 16 KiB lets one frame under way at a time and
 * leaves the line idle in between.
 */
const heldBytes = 4 * maxFrameBytes;
const frameWritten = Symbol('frameWritten');

/**
 * Takes a part of a data frame, or another frame whole. A promise stops the stream until it settles; after
 * `enough` nothing more is handed over.
 */
export type Take = (channel: Channel, data: Buffer) => Promise<void> | 'enough' | undefined;

/**
 * Hands over what comes until there is enough, or the stream ends or closes.
 * @throws ProtocolError on what is no frame, and whatever `take` or the stream fails with.
 */
export function readFrames(stream: Duplex, take: Take): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const parser = new FrameParser();
  const advance = (): void => {
    try {
      for (let part = parser.next(); part; part = parser.next()) {
        const answer = take(part.channel, part.data);
        if (answer === undefined) continue;
        if (answer === 'enough') return leave(resolve);
        stream.pause();
        answer.then(advance, (error: unknown) => leave(() => reject(error)));
        return;
      }
      if (stream.isPaused()) stream.resume();
    } catch (error) {
      leave(() => reject(error));
    }
  };
  const onData = (chunk: Buffer): void => {
    parser.push(chunk);
    advance();
  };
  const leave = (settle: () => void): void => {
    stream.off('data', onData);
    stream.resume(); // so that it can end: what still comes is for nobody
    settle();
  };
  stream.on('data', onData);
  stream.once('end', resolve);
  stream.once('close', resolve);
  stream.once('error', reject);
  return promise;
}

class FrameParser {
  #held: Buffer = Buffer.alloc(0);
  #channel: Channel | undefined;
  /** Bytes of the frame that have not come. */
  #left = 0;

  push(chunk: Buffer): void {
    this.#held = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
  }

  next(): { readonly channel: Channel; readonly data: Buffer } | undefined {
    const channel = this.#channel ?? this.#readHeader();
    if (channel === undefined) return undefined;
    const isWhole = this.#held.length >= this.#left;
    if (!isWhole && (!isData(channel) || this.#held.length === 0)) return undefined;
    const data = isWhole ? this.#held.subarray(0, this.#left) : this.#held;
    this.#held = this.#held.subarray(data.length);
    this.#left -= data.length;
    if (isWhole) this.#channel = undefined;
    return { channel, data };
  }

  #readHeader(): Channel | undefined {
    if (this.#held.length < headerBytes) return undefined;
    const channel = this.#held.readUInt8(0);
    const bytes = this.#held.readUInt32BE(1);
    if (!isKnown(channel)) throw new ProtocolError(`a frame of unknown channel ${channel}`);
    const most = isData(channel) ? maxFrameBytes : maxControlBytes;
    if (bytes > most) throw new ProtocolError(`a frame of ${bytes} bytes is longer than ${most}`);
    this.#channel = channel;
    this.#left = bytes;
    this.#held = this.#held.subarray(headerBytes);
    return channel;
  }
}

const isKnown = (channel: number): channel is Channel => channel <= sessionChannels.stdinEnd;
const isData = (channel: Channel): boolean => channel <= sessionChannels.stderr;

/** Resolves when the stream takes more. */
export async function writeFrames(stream: Duplex, channel: Channel, data: Buffer): Promise<void> {
  for (let start = 0; start === 0 || start < data.length; start += maxFrameBytes) {
    if (!stream.writable) throw new ProtocolError('the session is closed');
    const part = data.subarray(start, start + maxFrameBytes);
    const header = Buffer.allocUnsafe(headerBytes);
    header.writeUInt8(channel, 0);
    header.writeUInt32BE(part.length, 1);
    stream.cork();
    stream.write(header);
    stream.write(part, () => stream.emit(frameWritten));
    process.nextTick(() => stream.uncork());
    while (stream.writableLength > heldBytes && !stream.destroyed)
      await either(stream, frameWritten, 'close');
  }
}

/** Waits until the stream takes more, or is closed; nothing where it takes more already. */
export function drained(stream: Writable): Promise<void> | undefined {
  return stream.destroyed || !stream.writableNeedDrain
    ? undefined
    : either(stream, 'drain', 'close');
}

/** By plain listeners: `once` of two events makes an error for the one that does not come, at each chunk. */
function either(stream: Writable, one: string | symbol, other: string): Promise<void> {
  return new Promise((resolve) => {
    const settle = (): void => {
      stream.off(one, settle);
      stream.off(other, settle);
      resolve();
    };
    stream.on(one, settle);
    stream.on(other, settle);
  });
}
