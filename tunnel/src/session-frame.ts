/**
 * Both ends of a session's stream.
 *
 * Input flows to the site, output and the exit flow back; the exit is the last frame.
 *
 * Guarantees: a reader that stalls holds the window of its stream and some 100 KiB, and delays no other
 * session; what the protocol forbids ends its session alone.
 */
import { Readable, Writable, type Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import { describeError, ProtocolError } from '@cloudlet/runtime/base';
import {
  type Channel,
  drained,
  maxControlBytes,
  maxFrameBytes,
  readFrames,
  sessionChannels,
  writeFrames,
} from './frames.ts';

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
  const stdout = new Output();
  const stderr = new Output();
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
    stdout.finish();
    stderr.finish();
    stdin.destroy();
    return reached;
  });
  return {
    ...{ stdin, stdout, stderr, exit, close },
    resize: (columns, rows) =>
      writeFrames(stream, sessionChannels.resize, json({ columns, rows })).catch(() => undefined),
  };
}

function readInput(stream: Duplex, session: TunnelSession): Promise<void> {
  const { stdin } = session;
  stdin?.on('error', () => undefined); // the program closed its input: its exit tells
  return readFrames(stream, (channel, data) => {
    if (channel === sessionChannels.stdin) {
      if (stdin?.writable && !stdin.write(data)) return drained(stdin);
    } else if (channel === sessionChannels.stdinEnd) stdin?.end();
    else if (channel === sessionChannels.resize) {
      const { columns, rows } = parse(resizeSchema, data);
      return session.resize(columns, rows).catch(() => undefined); // a program that just ended has no size
    } else throw new ProtocolError(`channel ${channel} does not flow to the site`);
    return undefined;
  });
}

async function readOutput(stream: Duplex, stdout: Output, stderr: Output): Promise<SessionExit> {
  let exit: SessionExit | undefined;
  try {
    await readFrames(stream, (channel, data) => {
      if (channel === sessionChannels.exit) {
        exit = parse(exitSchema, data);
        return 'enough';
      }
      if (channel !== sessionChannels.stdout && channel !== sessionChannels.stderr)
        throw new ProtocolError(`channel ${channel} does not flow from the site`);
      return (channel === sessionChannels.stdout ? stdout : stderr).give(data);
    });
    return exit ?? { reason: 'the connection to the site was lost' };
  } catch (error) {
    return { reason: describeError(error) };
  } finally {
    stream.destroy();
  }
}

/** What came out at the site. Plainer than a PassThrough, which costs as much as the frames. */
class Output extends Readable {
  #wanted: (() => void) | undefined;

  /** A promise where the reader has enough for now. */
  give(data: Buffer): Promise<void> | undefined {
    if (this.destroyed || this.push(data)) return undefined;
    return new Promise((resolve) => (this.#wanted = resolve));
  }

  finish(): void {
    if (!this.destroyed) this.push(null);
  }

  override _read(): void {
    this.#wanted?.();
    this.#wanted = undefined;
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this._read();
    done(error);
  }
}

async function pump(source: Readable, stream: Duplex, channel: Channel): Promise<void> {
  for await (const chunk of source as AsyncIterable<Buffer | string>)
    await writeFrames(stream, channel, Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk));
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
