/**
 * JSON lines on a stream, both ways.
 *
 * Guarantees: a line longer than its bound, or one that is no JSON object, is a ProtocolError before more of
 * it is held; reading is pulled, so a slow consumer stops the stream's window; a message of an unknown type
 * is skipped, one of a known type that its schema refuses is a ProtocolError naming the field.
 */
import type { Readable } from 'node:stream';
import type { z } from 'zod';
import { ProtocolError } from '@cloudlet/runtime/base';

const newline = 0x0a;

export interface Line {
  readonly value: unknown;
  /** Length on the wire, without the line's end. */
  readonly bytes: number;
}

/** @throws ProtocolError on what is no bounded line of JSON; the stream's error when it breaks. */
export async function* readLines(stream: Readable, maxBytes: number): AsyncGenerator<Line> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      const part = chunk.subarray(start, end < 0 ? undefined : end);
      heldBytes += part.length;
      if (heldBytes > maxBytes) throw new ProtocolError(`a line is longer than ${maxBytes} bytes`);
      held.push(part);
      if (end < 0) break;
      if (heldBytes > 0) yield { value: parseJson(Buffer.concat(held)), bytes: heldBytes };
      held = [];
      heldBytes = 0;
      start = end + 1;
    }
  }
}

/** @throws ProtocolError when the line would be longer than the peer accepts. */
export function formatLine(message: unknown, maxBytes: number): Buffer {
  const line = Buffer.from(JSON.stringify(message) + '\n');
  if (line.length - 1 > maxBytes)
    throw new ProtocolError(`a line of ${line.length} bytes is longer than ${maxBytes}`);
  return line;
}

/**
 * A message of a union told apart by `t`, or nothing when its type is unknown to this build.
 * @throws ProtocolError naming the fields that are wrong.
 */
export function parseMessage<T>(
  schema: z.ZodType<T>,
  types: ReadonlySet<string>,
  value: unknown,
): T | undefined {
  const type = (value as { t?: unknown } | null)?.t;
  if (typeof type !== 'string') throw new ProtocolError('a message has no type');
  if (!types.has(type)) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const fields = result.error.issues.slice(0, 4).map((issue) => issue.path.join('.'));
  throw new ProtocolError(`message ${type}: wrong ${fields.join(', ')}`);
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new ProtocolError('a line is not JSON'); // the cause would quote what may be secret
  }
}
