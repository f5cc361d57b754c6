/**
 * HTTP to the API server: calls on one pool of ten HTTP/1.1 connections, streams on an agent of their own.
 *
 * Guarantees: every call has a deadline; a stream ends after `idleMs` without a byte; a GET that met a dead
 * kept-alive connection is tried once more; a 401 reads the credentials anew and tries once more; changed TLS
 * material means new connections, and the old ones end with their last call. HTTP/2 is off: with ten
 * connections it is slower, and one stalled connection would delay every call.
 */
import type { Counter, Histogram } from 'prom-client';
import { Agent, type Dispatcher, Pool, ProxyAgent, Socks5ProxyAgent } from 'undici';
import { type Clock, UnreachableError, canonicalJson, withDeadline } from '../base/index.ts';
import type { ClusterAccess, Credentials, TlsOptions } from './access.ts';

export interface CallRequest {
  /** Verb and object, for error messages. */
  readonly what: string;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export interface CallResponse {
  readonly code: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface StreamRequest extends Omit<CallRequest, 'timeoutMs' | 'body'> {
  readonly idleMs: number;
  readonly onOpen?: (() => void) | undefined;
}

export interface StreamResponse extends Omit<CallResponse, 'text'> {
  readonly body: AsyncIterable<Uint8Array> & { text(): Promise<string> };
}

export interface TransportMetrics {
  readonly requests: Counter<'code' | 'method' | 'host'>;
  readonly duration: Histogram<'verb' | 'host'>;
}

export interface TransportOptions {
  readonly access: ClusterAccess;
  readonly clock: Clock;
  readonly userAgent: string;
  readonly metrics?: TransportMetrics | undefined;
  /** @default 10 */
  readonly connections?: number | undefined;
}

interface Connections {
  /** What they were made from, and its content: a new object is only compared by content once. */
  tls: TlsOptions;
  readonly fingerprint: string;
  readonly calls: Dispatcher;
  readonly streams: Dispatcher;
}

export class Transport {
  readonly #options: TransportOptions;
  readonly #base: URL;
  #connections: Connections | undefined;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#base = new URL(options.access.server);
  }

  /** @throws DeadlineError, UnreachableError, or the signal's reason; a refusal is an answer like any other. */
  async call(request: CallRequest): Promise<CallResponse> {
    const started = this.#options.clock.monotonic();
    const response = await withDeadline(
      request.what,
      request.timeoutMs,
      this.#options.clock,
      (signal) => this.#withFreshCredentials((fresh) => this.#tryTwice(request, signal, fresh)),
      request.signal,
    );
    this.#options.metrics?.duration.observe(
      { verb: request.method, host: this.#base.host },
      (this.#options.clock.monotonic() - started) / 1_000,
    );
    return response;
  }

  /**
   * Sends a GET and hands out its body while it comes; `visit` reads it, and its return closes the connection.
   * @throws UnreachableError after `idleMs` without a byte.
   */
  async *stream(
    request: StreamRequest,
    refuse: (response: CallResponse) => Error,
  ): AsyncGenerator<Uint8Array> {
    const { clock } = this.#options;
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(request.signal?.reason);
    if (request.signal?.aborted) onAbort();
    request.signal?.addEventListener('abort', onAbort, { once: true });
    const watchdog = startWatchdog(clock, request.idleMs, () =>
      controller.abort(new UnreachableError(`${request.what}: no byte for ${request.idleMs} ms`)),
    );
    try {
      const response = await this.#withFreshCredentials((fresh) =>
        this.#open(request, controller.signal, fresh),
      );
      if (response.code !== 200) throw refuse({ ...response, text: await response.body.text() });
      request.onOpen?.();
      for await (const chunk of response.body) {
        watchdog.pet();
        yield chunk;
      }
    } catch (error) {
      throw this.#reasonOf(request.what, error, controller.signal);
    } finally {
      watchdog.stop();
      request.signal?.removeEventListener('abort', onAbort);
      controller.abort();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connections = this.#connections;
    this.#connections = undefined;
    if (!connections) return;
    await Promise.all([connections.calls.destroy(), connections.streams.destroy()]);
  }

  async #withFreshCredentials<R extends { readonly code: number }>(
    attempt: (fresh: boolean) => Promise<R>,
  ): Promise<R> {
    const response = await attempt(false);
    return response.code === 401 ? attempt(true) : response;
  }

  async #tryTwice(
    request: CallRequest,
    signal: AbortSignal,
    fresh: boolean,
  ): Promise<CallResponse> {
    try {
      return await this.#callOnce(request, signal, fresh);
    } catch (error) {
      // A server may close a kept-alive connection just as we write to it; a read can be sent again.
      if (request.method !== 'GET' || !isClosedSocket(error) || signal.aborted)
        throw this.#reasonOf(request.what, error, signal);
    }
    try {
      return await this.#callOnce(request, signal, fresh);
    } catch (error) {
      throw this.#reasonOf(request.what, error, signal);
    }
  }

  async #callOnce(
    request: CallRequest,
    signal: AbortSignal,
    fresh: boolean,
  ): Promise<CallResponse> {
    const credentials = await this.#options.access.credentials(fresh);
    const { calls } = this.#connect(credentials.tls);
    const response = await collect(calls, this.#dispatch(request, credentials), signal).catch(
      (error: unknown) => this.#failed(request.method, error),
    );
    this.#count(request.method, response.code);
    return response;
  }

  async #open(
    request: StreamRequest,
    signal: AbortSignal,
    fresh: boolean,
  ): Promise<StreamResponse> {
    const credentials = await this.#options.access.credentials(fresh);
    const { streams } = this.#connect(credentials.tls);
    const response = await streams
      .request({ ...this.#dispatch(request, credentials), signal })
      .catch((error: unknown) => this.#failed(request.method, error));
    this.#count(request.method, response.statusCode);
    const body = response.body as StreamResponse['body'];
    return { code: response.statusCode, headers: response.headers, body };
  }

  #dispatch(
    request: Pick<CallRequest, 'method' | 'path' | 'headers' | 'body'>,
    credentials: Credentials,
  ): Dispatcher.DispatchOptions {
    return {
      origin: this.#base.origin,
      path: this.#base.pathname.replace(/\/$/, '') + request.path,
      method: request.method,
      headers: {
        accept: 'application/json',
        'user-agent': this.#options.userAgent,
        ...credentials.headers,
        ...request.headers,
      },
      body: request.body ?? null,
    };
  }

  /** The connections for this TLS material; others are let go after their last call. */
  #connect(tls: TlsOptions): Connections {
    if (this.#closed) throw new UnreachableError(`${this.#base.origin}: the client is closed`);
    const old = this.#connections;
    if (old?.tls === tls) return old;
    const fingerprint = canonicalJson(tls);
    if (old?.fingerprint === fingerprint) {
      old.tls = tls;
      return old;
    }
    const made = {
      tls,
      fingerprint,
      calls: this.#dispatcher(tls, this.#options.connections ?? 10),
      streams: this.#dispatcher(tls, undefined),
    };
    this.#connections = made;
    // Streams keep running on the old connections until the server ends them (10 minutes at most).
    for (const dispatcher of old ? [old.calls, old.streams] : [])
      dispatcher.close().catch(() => undefined); // it was closed already
    return made;
  }

  #dispatcher(tls: TlsOptions, connections: number | undefined): Dispatcher {
    const { proxyUrl } = this.#options.access;
    const connect = { ...tls, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };
    // Deadlines and idle timers are ours; undici's own would end a quiet watch.
    const options = { allowH2: false, headersTimeout: 0, bodyTimeout: 0, pipelining: 1, connect };
    const limit = connections === undefined ? {} : { connections };
    if (proxyUrl?.startsWith('socks')) return new Socks5ProxyAgent(proxyUrl, { requestTls: tls });
    if (proxyUrl) return new ProxyAgent({ ...options, ...limit, uri: proxyUrl, requestTls: tls });
    return connections === undefined
      ? new Agent(options)
      : new Pool(this.#base.origin, { ...options, connections });
  }

  #count(method: string, code: number | '<error>'): void {
    this.#options.metrics?.requests.inc({ code: String(code), method, host: this.#base.host });
  }

  #failed(method: string, error: unknown): never {
    this.#count(method, '<error>');
    throw error;
  }

  #reasonOf(what: string, error: unknown, signal: AbortSignal): Error {
    if (signal.aborted) return signal.reason as Error;
    if (!isNetworkError(error)) return error as Error;
    return new UnreachableError(`${what}: ${this.#base.origin} does not answer`, { cause: error });
  }
}

/** An answer in one piece. undici's own `request` makes a stream for it, which costs more than the answer. */
function collect(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal,
): Promise<CallResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<CallResponse>();
  const chunks: Buffer[] = [];
  let [code, headers]: [number, CallResponse['headers']] = [0, {}];
  let abort = (): void => reject(signal.reason);
  const onAbort = (): void => abort();
  signal.addEventListener('abort', onAbort, { once: true });
  dispatcher.dispatch(options, {
    onRequestStart(controller) {
      abort = () => controller.abort(signal.reason as Error);
      if (signal.aborted) abort();
    },
    onResponseStart: (_, status, fields) => void ([code, headers] = [status, fields]),
    onResponseData: (_, chunk) => void chunks.push(chunk),
    onResponseEnd: () => resolve({ code, headers, text: Buffer.concat(chunks).toString() }),
    onResponseError: (_, error) => reject(error),
  });
  return promise.finally(() => signal.removeEventListener('abort', onAbort));
}

/** Calls `late` once after `idleMs` without a `pet`; one timer, however many pets. */
function startWatchdog(
  clock: Clock,
  idleMs: number,
  late: () => void,
): { pet(): void; stop(): void } {
  let last = clock.monotonic();
  const check = (): void => {
    const left = last + idleMs - clock.monotonic();
    if (left <= 0) late();
    else timer = clock.after(left, check);
  };
  let timer = clock.after(idleMs, check);
  return { pet: () => void (last = clock.monotonic()), stop: () => timer.cancel() };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function isClosedSocket(error: unknown): boolean {
  return ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE'].includes(codeOf(error));
}

/** Anything that undici, TLS or the socket reports; programming errors carry no code. */
function isNetworkError(error: unknown): boolean {
  return (
    codeOf(error) !== '' ||
    (error instanceof Error && error.cause !== undefined && codeOf(error.cause) !== '')
  );
}
