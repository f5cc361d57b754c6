/**
 * A session over a WebSocket, as kubectl speaks to pods (`v5.channel.k8s.io`), to the region's access API.
 *
 * Guarantees: the exit code is the remote program's; a terminal in raw mode is brought back whatever happens;
 * what is not read here is not read from the site; a session that ends without a word is an error.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { accessGroup } from '@cloudlet/crds';
import {
  type Clock,
  ForbiddenError,
  NotFoundError,
  UnreachableError,
} from '@cloudlet/runtime/base';
import type { ClusterAccess } from '@cloudlet/runtime/kubernetes';
import { WebSocket } from 'ws';
import type { Terminal } from './terminal.ts';

const protocol = 'v5.channel.k8s.io';
const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const handshakeMs = 30_000;

export const accessPath = (rest: string, query: URLSearchParams): string =>
  `/apis/${accessGroup}/v1alpha1/${rest}?${query.toString()}`;

export interface SessionOptions {
  readonly access: ClusterAccess;
  /** From `accessPath`. */
  readonly path: string;
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly stdin: boolean;
  readonly tty: boolean;
  readonly signal: AbortSignal;
}

/**
 * Runs the session to its end.
 * @returns the exit code of the remote program.
 * @throws NotFoundError, ForbiddenError, UnreachableError with what the region said.
 */
export async function runSession(options: SessionOptions): Promise<number> {
  const webSocket = await dial(options);
  const { terminal, tty, signal } = options;
  const onAbort = (): void => webSocket.terminate();
  signal.addEventListener('abort', onAbort, { once: true });
  if (tty) terminal.setRaw(true);
  const stopInput = options.stdin ? sendInput(webSocket, terminal) : () => undefined;
  const stopSize = tty ? sendSizes(webSocket, terminal) : () => undefined;
  try {
    return exitCodeOf(await receive(webSocket, terminal));
  } finally {
    stopInput();
    stopSize();
    if (tty) terminal.setRaw(false);
    signal.removeEventListener('abort', onAbort);
    webSocket.terminate();
  }
}

async function dial({ access, path, signal }: SessionOptions): Promise<WebSocket> {
  const { headers, tls } = await access.credentials();
  const url = access.server.replace(/^http/, 'ws') + path;
  const webSocket = new WebSocket(url, protocol, {
    ...tls,
    headers,
    handshakeTimeout: handshakeMs,
    perMessageDeflate: false,
    followRedirects: false,
  });
  return new Promise((resolve, reject) => {
    const abort = (): void => webSocket.terminate();
    signal.addEventListener('abort', abort, { once: true });
    webSocket.once('open', () => {
      signal.removeEventListener('abort', abort);
      webSocket.on('error', () => webSocket.terminate()); // `receive` tells of it
      resolve(webSocket);
    });
    webSocket.once('error', (cause) =>
      reject(new UnreachableError(`cannot reach ${access.server}`, { cause })),
    );
    webSocket.once('unexpected-response', (_request, response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        if (text.length < 16_384) text += chunk;
      });
      response.once('end', () => reject(refusal(response.statusCode ?? 0, text)));
    });
  });
}

function refusal(code: number, text: string): Error {
  let message = text.slice(0, 1024);
  try {
    message = (JSON.parse(text) as { message?: string }).message ?? message;
  } catch {
    // Not a Status: shown as it is.
  }
  if (code === 404) return new NotFoundError(message || 'there is no such object');
  if (code === 401 || code === 403) return new ForbiddenError(message);
  if (code === 503)
    return new UnreachableError(
      `${message.trim() || 'the access API does not answer'}; see 'kubectl get apiservice v1alpha1.${accessGroup}'`,
    );
  return new UnreachableError(`the region answered ${code}: ${message}`);
}

interface Status {
  readonly status?: string;
  readonly reason?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { reason?: string; message?: string }[] };
}

/** Prints what comes until the session's Status. */
async function receive(webSocket: WebSocket, terminal: Terminal): Promise<Status> {
  let status: Status | undefined;
  let writing = Promise.resolve();
  const print = (stream: Writable, data: Buffer): void => {
    if (stream.write(data)) return;
    webSocket.pause();
    writing = once(stream, 'drain').then(() => webSocket.resume());
  };
  webSocket.on('message', (message: Buffer) => {
    const data = message.subarray(1);
    if (message[0] === channels.stdout) print(terminal.stdout, data);
    else if (message[0] === channels.stderr) print(terminal.stderr, data);
    else if (message[0] === channels.error) status = JSON.parse(data.toString()) as Status;
  });
  if (webSocket.readyState !== webSocket.CLOSED) await once(webSocket, 'close');
  await writing;
  if (!status) throw new UnreachableError('the connection to the session was lost');
  return status;
}

/** @throws UnreachableError when the session failed rather than the program. */
export function exitCodeOf(status: Status): number {
  if (status.status === 'Success') return 0;
  const code = status.details?.causes?.find(({ reason }) => reason === 'ExitCode')?.message;
  if (status.reason === 'NonZeroExitCode' && code !== undefined) return Number(code);
  throw new UnreachableError(status.message ?? 'the session failed');
}

function sendInput(webSocket: WebSocket, { stdin }: Terminal): () => void {
  const onData = (chunk: Buffer | string): void => {
    stdin.pause();
    webSocket.send(Buffer.concat([Buffer.of(channels.stdin), Buffer.from(chunk)]), () =>
      stdin.resume(),
    );
  };
  const onEnd = (): void => webSocket.send(Buffer.of(channels.close, channels.stdin));
  stdin.on('data', onData).once('end', onEnd);
  return () => {
    stdin.off('data', onData).off('end', onEnd);
    stdin.pause();
    if ('unref' in stdin) (stdin as unknown as { unref(): void }).unref();
  };
}

function sendSizes(webSocket: WebSocket, terminal: Terminal): () => void {
  const send = (): void => {
    const size = terminal.size();
    if (!size) return;
    const text = JSON.stringify({ Width: size.columns, Height: size.rows });
    webSocket.send(Buffer.concat([Buffer.of(channels.resize), Buffer.from(text)]));
  };
  send();
  return terminal.onResize(send);
}
