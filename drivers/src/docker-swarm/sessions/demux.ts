/**
 * The engine's multiplexed output, taken apart: frames of 8 bytes head (stream, length) and a body.
 *
 * Guarantees: back-pressure of either side holds the engine's stream; at most one chunk is held; an unknown
 * stream number ends both sides with a ProtocolError.
 */
import { PassThrough, type Readable } from 'node:stream';
import { ProtocolError } from '@cloudlet/runtime/base';

export interface Demuxed {
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
}

const highWaterMark = 64 * 1024;

export function demux(source: Readable): Demuxed {
  const stdout = new PassThrough({ highWaterMark });
  const stderr = new PassThrough({ highWaterMark });
  void pump(source, stdout, stderr).then(
    () => {
      stdout.end();
      stderr.end();
    },
    (error: unknown) => {
      stdout.destroy(error as Error);
      stderr.destroy();
    },
  );
  return { stdout, stderr };
}

async function pump(source: Readable, stdout: PassThrough, stderr: PassThrough): Promise<void> {
  const header = Buffer.alloc(8);
  let headerLength = 0;
  let left = 0;
  let target = stdout;
  for await (const read of source) {
    let chunk = read as Buffer;
    while (chunk.length > 0) {
      if (left === 0) {
        const taken = chunk.copy(header, headerLength, 0, 8 - headerLength);
        headerLength += taken;
        chunk = chunk.subarray(taken);
        if (headerLength < 8) break;
        headerLength = 0;
        target = targetOf(header[0] ?? 255, stdout, stderr);
        left = header.readUInt32BE(4);
        continue;
      }
      const body = chunk.subarray(0, left);
      left -= body.length;
      chunk = chunk.subarray(body.length);
      await write(target, body);
    }
  }
}

function targetOf(stream: number, stdout: PassThrough, stderr: PassThrough): PassThrough {
  if (stream <= 1) return stdout;
  if (stream === 2) return stderr;
  throw new ProtocolError(`the engine's output has a frame of stream ${stream}`);
}

/** Waits for room; a side that was closed throws its bytes away, so that the other goes on. */
async function write(target: PassThrough, body: Buffer): Promise<void> {
  if (target.destroyed || target.writableEnded || target.write(body)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      target.off('drain', done).off('close', done);
      resolve();
    };
    target.on('drain', done).on('close', done);
  });
}
