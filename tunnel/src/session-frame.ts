/**
 * Frames of a session's stream, and both of its ends.
 *
 * A frame is a byte for the channel, four bytes for the length (big-endian), and as many bytes. Input flows
 * to the site, output and the exit flow back; the exit is the last frame.
 *
 * Guarantees: nothing is held but what the streams' own marks allow, so a reader that stalls holds the
 * window of its stream and some 100 KiB, and delays no other session; data passes on as it arrives, whole
 * frame or not; a frame that the protocol does not know, or that is too long, ends its session alone.
 */
import { PassThrough, Writable, type Duplex, type Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import { describeError, ProtocolError } from '@cloudlet/runtime/base';

export const sessionChannels = {
  stdin: 0,
  stdout: 1,
  stderr: 2,
  resize: 3,
  exit: 4,
  stdinEnd: 5,
} as const;
type Channel = (typeof sessionChannels)[keyof typeof sessionChannels];

const headerBytes = 5;
/** Longest data frame; a longer chunk is cut. */
export const maxFrameBytes = 64 * 1024;
/**
 * Written but not yet taken by the stream, whose own mark of 16 KiB lets one frame under way at a time and
 * leaves the line idle in between.
 */
const heldBytes = 4 * maxFrameBytes;
const frameWritten = Symbol('frameWritten');
/** Longest frame of the other kinds. */
const maxControlBytes = 4096;

const resizeSchema = z.object({
  columns: z.int().min(0).max(65_535),
  rows: z.int().min(0).max(65_535),
});
const exitSchema = z.union([
  z.object({ code: z.int() }),
  z.object({ reason: z.string().max(maxControlBytes) }),
]);

export type SessionExit = { readonly code: number } | { readonly reason: string };

/** A session, wherever it runs: what a driver opens, and what the region sees of it. */
export interface TunnelSession {
  readonly stdin?: Writable;
  readonly stdout: Readable;
  readonly stderr?: Readable;
  resize(columns: number, rows: number): Promise<void>;
  /** Settles once, after the output ended. Never rejects. */
  readonly exit: Promise<SessionExit>;
  close(): void;
}

/**
 * The site's end: carries `session` over `stream` until it exits or the stream closes. Settles when all
 * output has left, and never rejects. It leaves the stream to the region to close: a reset would overtake
 * what a slow reader has still to take.
 */
export async function serveSession(stream: Duplex, session: TunnelSession): Promise<void> {
  const close = (): void => session.close();
  stream.once('close', close);
  stream.on('error', close);
  void readInput(stream, session).catch(() => stream.destroy());
  try {
    await Promise.all([
      pump(session.stdout, stream, sessionChannels.stdout),
      session.stderr && pump(session.stderr, stream, sessionChannels.stderr),
    ]);
    await sendExit(stream, await session.exit);
  } catch (error) {
    await sendExit(stream, { reason: describeError(error).slice(0, 1024) });
  } finally {
    session.close();
  }
}

/** The site's end of a session that could not be opened. */
export function failSession(stream: Duplex, reason: string): Promise<void> {
  stream.on('error', () => stream.destroy());
  stream.resume();
  return sendExit(stream, { reason: reason.slice(0, 1024) });
}

/** The region's end: the session at the other side of `stream`. Output that nobody reads stops it. */
export function attachSession(stream: Duplex): Required<TunnelSession> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const stdin = new Writable({
    highWaterMark: maxFrameBytes,
    write(chunk: Buffer, _encoding, done) {
      writeFrames(stream, sessionChannels.stdin, chunk).then(() => done(), done);
    },
    final(done) {
      writeFrames(stream, sessionChannels.stdinEnd, Buffer.alloc(0)).then(() => done(), done);
    },
  });
  const close = (): void => void stream.destroy();
  stdin.on('error', () => undefined); // the session ended before it read all: its exit tells
  stdout.once('close', close);
  stream.on('error', () => stream.destroy());
  const exit = readOutput(stream, stdout, stderr).then((reached) => {
    stdout.end();
    stderr.end();
    stdin.destroy();
    return reached;
  });
  return {
    ...{ stdin, stdout, stderr, exit, close },
    resize: (columns, rows) =>
      writeFrames(stream, sessionChannels.resize, json({ columns, rows })).catch(() => undefined),
  };
}

async function readInput(stream: Duplex, session: TunnelSession): Promise<void> {
  const { stdin } = session;
  stdin?.on('error', () => undefined); // the program closed its input: its exit tells
  for await (const { channel, data } of readFrames(stream)) {
    if (channel === sessionChannels.stdin) {
      if (stdin?.writable && !stdin.write(data)) await drained(stdin);
    } else if (channel === sessionChannels.stdinEnd) stdin?.end();
    else if (channel === sessionChannels.resize) {
      const { columns, rows } = parse(resizeSchema, data);
      await session.resize(columns, rows).catch(() => undefined); // a program that just ended has no size
    } else throw new ProtocolError(`channel ${channel} does not flow to the site`);
  }
}

async function readOutput(
  stream: Duplex,
  stdout: PassThrough,
  stderr: PassThrough,
): Promise<SessionExit> {
  try {
    for await (const { channel, data } of readFrames(stream)) {
      if (channel === sessionChannels.exit) return parse(exitSchema, data);
      if (channel !== sessionChannels.stdout && channel !== sessionChannels.stderr)
        throw new ProtocolError(`channel ${channel} does not flow from the site`);
      const output = channel === sessionChannels.stdout ? stdout : stderr;
      if (output.writable && !output.write(data)) await drained(output);
    }
    return { reason: 'the connection to the site was lost' };
  } catch (error) {
    return { reason: describeError(error) };
  } finally {
    stream.destroy();
  }
}

interface Part {
  readonly channel: Channel;
  readonly data: Buffer;
}

/** Data frames in parts as they arrive, others whole. @throws ProtocolError on what is no frame. */
async function* readFrames(stream: Duplex): AsyncGenerator<Part> {
  let held: Buffer = Buffer.alloc(0);
  let channel: Channel | undefined;
  let left = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    held = held.length > 0 ? Buffer.concat([held, chunk]) : chunk;
    for (;;) {
      if (channel === undefined) {
        if (held.length < headerBytes) break;
        channel = checkedChannel(held);
        left = held.readUInt32BE(1);
        held = held.subarray(headerBytes);
      }
      const isWhole = held.length >= left;
      if (!isWhole && (!isData(channel) || held.length === 0)) break;
      const data = held.subarray(0, Math.min(left, held.length));
      held = held.subarray(data.length);
      left -= data.length;
      yield { channel, data };
      if (isWhole) channel = undefined;
      else break;
    }
  }
}

function checkedChannel(header: Buffer): Channel {
  const channel = header.readUInt8(0);
  const known = Object.values(sessionChannels).find((value) => value === channel);
  if (known === undefined) throw new ProtocolError(`a frame of unknown channel ${channel}`);
  const most = isData(known) ? maxFrameBytes : maxControlBytes;
  const bytes = header.readUInt32BE(1);
  if (bytes > most) throw new ProtocolError(`a frame of ${bytes} bytes is longer than ${most}`);
  return known;
}

function isData(channel: Channel): boolean {
  return channel <= sessionChannels.stderr;
}

async function pump(source: Readable, stream: Duplex, channel: Channel): Promise<void> {
  for await (const chunk of source as AsyncIterable<Buffer | string>)
    await writeFrames(stream, channel, Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk));
}

/** Resolves when the stream takes more. */
async function writeFrames(stream: Duplex, channel: Channel, data: Buffer): Promise<void> {
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

async function sendExit(stream: Duplex, exit: SessionExit): Promise<void> {
  try {
    await writeFrames(stream, sessionChannels.exit, json(exit));
    stream.end();
    await finished(stream, { readable: false });
  } catch {
    stream.destroy(); // nobody is there to hear it
  }
}

/** Resolves when the stream takes more, or is closed. */
async function drained(stream: Writable): Promise<void> {
  if (!stream.destroyed && stream.writableNeedDrain) await either(stream, 'drain', 'close');
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

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function parse<T>(schema: z.ZodType<T>, data: Buffer): T {
  try {
    return schema.parse(JSON.parse(data.toString('utf8')));
  } catch (cause) {
    throw new ProtocolError('a frame holds something else than it should', { cause });
  }
}
