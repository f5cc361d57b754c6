/** A request of one JSON body and its answer, on an HTTP/2 stream; both bounded. */
import type { OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { ProtocolError } from '@cloudlet/runtime/base';

/** A CSR with its token fits many times over. */
export const maxBodyBytes = 32 * 1024;

/** @throws ProtocolError when the body is too long or no JSON; the stream's error when it breaks. */
export async function readJsonBody(stream: ServerHttp2Stream): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new ProtocolError(`the body is longer than ${maxBodyBytes}`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new ProtocolError('the body is not JSON'); // the cause would quote the token
  }
}

export function answerJson(stream: ServerHttp2Stream, status: number, body: unknown): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ':status': status, 'content-type': 'application/json' });
  stream.end(JSON.stringify(body));
}

export function answerStatus(
  stream: ServerHttp2Stream,
  status: number,
  headers: OutgoingHttpHeaders = {},
): void {
  if (stream.destroyed || stream.headersSent) return;
  stream.respond({ ...headers, ':status': status }, { endStream: true });
  stream.close();
}
