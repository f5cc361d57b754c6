/**
 * How a session travels between parts of the region: one HTTP/2 stream, `POST /v1/sessions/<cloudlet>`, whose
 * body is the SessionRequest as one JSON line and then the session's frames as the tunnel has them, both ways.
 *
 * Guarantees: the request line is bounded and parsed by its schema; refusals carry status, reason and message.
 */
import type { Readable } from 'node:stream';
import {
  DeadlineError,
  ForbiddenError,
  InvalidError,
  NotFoundError,
  ProtocolError,
  TooManyRequestsError,
  UnreachableError,
} from '@cloudlet/runtime/base';
import { z } from 'zod';

export const sessionPath = '/v1/sessions/';
/** Times that a hub has passed the session on; it does so once. */
export const hopsHeader = 'edge-hops';
/** Milliseconds that the caller waits for the site. */
export const deadlineHeader = 'edge-deadline-ms';

export const maxRequestBytes = 256 * 1024;

export const refusal = z.object({ reason: z.string().max(63), message: z.string().max(1024) });
export type SessionRefusal = z.infer<typeof refusal>;

const classes = [
  [404, NotFoundError],
  [403, ForbiddenError],
  [400, InvalidError],
  [504, DeadlineError],
  [503, UnreachableError],
] as const;

export function statusOf(error: unknown): number {
  if (error instanceof TooManyRequestsError) return 429;
  if (error instanceof ProtocolError) return 400;
  return classes.find(([, type]) => error instanceof type)?.[0] ?? 500;
}

export function errorOf(status: number, message: string): Error {
  if (status === 429) return new TooManyRequestsError(message, 1_000);
  const type = classes.find(([code]) => code === status)?.[1] ?? UnreachableError;
  return new type(message);
}

/**
 * Takes the first line off a stream; what follows stays in it.
 * @throws ProtocolError when it is longer than `maxBytes` or the stream ends before it.
 */
export async function takeLine(stream: Readable, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk === null) {
      await moreOf(stream);
      continue;
    }
    const end = chunk.indexOf(0x0a);
    size += end < 0 ? chunk.length : end;
    if (size > maxBytes) throw new ProtocolError(`the first line is longer than ${maxBytes} bytes`);
    if (end < 0) {
      chunks.push(chunk);
      continue;
    }
    chunks.push(chunk.subarray(0, end));
    const rest = chunk.subarray(end + 1);
    if (rest.length > 0) stream.unshift(rest);
    return Buffer.concat(chunks).toString('utf8');
  }
}

function moreOf(stream: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', settle);
      if (error) reject(error);
      else resolve();
    };
    const onReadable = (): void => settle();
    const onEnd = (): void => settle(new ProtocolError('the stream ended within its first line'));
    if (stream.readableEnded || stream.destroyed) onEnd();
    else stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', settle);
  });
}
