/**
 * The typed client: reads and writes of one API server, as plain objects.
 *
 * Guarantees: errors are those of `runtime/base` and name verb and object; every call has a deadline (30 s
 * unless told); lists come in pages of 500 and start over when a page token expires; `managedFields` is dropped
 * from what comes in; a warning of the server is logged once. It keeps no state of objects and retries nothing
 * but what `Transport` says.
 */
import type { Registry } from 'prom-client';
import { type Clock, GoneError, type Logger, ProtocolError, TerminalError } from '../base/index.ts';
import { type AccessOptions, type ClusterAccess, openAccess } from './access.ts';
import { restMetrics } from './metrics.ts';
import { apiVersionOf, keyOf, resourcePath } from './paths.ts';
import { errorOfStatus, statusOfBody } from './response-errors.ts';
import { type CallRequest, type CallResponse, Transport } from './transport.ts';
import type {
  ApplyOptions,
  CallOptions,
  DeepPartialObject,
  KubernetesClient,
  KubernetesObject,
  ListOptions,
  ResourceClient,
  ResourceType,
  StreamOptions,
} from './types.ts';

export interface ClientOptions extends AccessOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: Registry;
  /** Such as `cloudlet-operator/0.1.0`. */
  readonly userAgent: string;
  /** Connections for calls; watches have their own. @default 10 */
  readonly connections?: number;
  /** Instead of a kubeconfig. */
  readonly access?: ClusterAccess;
}

export const listPageSize = 500;
const defaultTimeoutMs = 30_000;
const mostWarnings = 100;

/** @throws TerminalError when the kubeconfig names no API server. */
export function createClient(options: ClientOptions): KubernetesClient {
  return new Client(options);
}

interface RawRequest extends CallOptions {
  readonly what: string;
  readonly body?: unknown;
  readonly contentType?: string | undefined;
}

class Client implements KubernetesClient {
  readonly server: string;
  readonly #transport: Transport;
  readonly #logger: Logger;
  readonly #warned = new Set<string>();

  constructor(options: ClientOptions) {
    const access = options.access ?? openAccess(options, options.clock);
    this.server = access.server;
    this.#logger = options.logger;
    this.#transport = new Transport({
      access,
      clock: options.clock,
      userAgent: options.userAgent,
      connections: options.connections,
      metrics: options.metrics && restMetrics(options.metrics),
    });
  }

  resource<T extends KubernetesObject>(type: ResourceType): ResourceClient<T> {
    return new TypedResource<T>(type, (method, path, request) => this.send(method, path, request));
  }

  request(
    method: string,
    path: string,
    options: CallOptions & { readonly body?: unknown; readonly contentType?: string } = {},
  ): Promise<unknown> {
    return this.send(method, path, { what: `${method} ${path.split('?')[0]}`, ...options });
  }

  stream(path: string, options: StreamOptions): AsyncIterable<Uint8Array> {
    const what = `watch ${path.split('?')[0]}`;
    return this.#transport.stream(
      {
        what,
        method: 'GET',
        path,
        headers: headersOf(options.impersonate),
        idleMs: options.idleMs,
        signal: options.signal,
        onOpen: options.onOpen,
      },
      (response) => refusal(what, response),
    );
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async send(method: string, path: string, options: RawRequest): Promise<unknown> {
    const { what, body, contentType = 'application/json' } = options;
    if (!path.startsWith('/')) throw new TypeError(`a path starts with '/': ${path}`);
    const request: CallRequest = {
      what,
      method,
      path,
      headers: {
        ...headersOf(options.impersonate),
        ...(body !== undefined && { 'content-type': contentType }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      timeoutMs: options.timeoutMs ?? defaultTimeoutMs,
      signal: options.signal,
    };
    const response = await this.#transport.call(request);
    this.#warn(what, response);
    if (response.code < 200 || response.code > 299) throw refusal(what, response);
    return parseBody(what, response);
  }

  /** Warnings tell of deprecated and unknown fields; each is worth one line. */
  #warn(what: string, response: CallResponse): void {
    for (const warning of [response.headers['warning'] ?? []].flat()) {
      if (this.#warned.has(warning) || this.#warned.size >= mostWarnings) continue;
      this.#warned.add(warning);
      this.#logger.warn('the API server warns', { call: what, warning });
    }
  }
}

type Send = (method: string, path: string, request: RawRequest) => Promise<unknown>;

class TypedResource<T extends KubernetesObject> implements ResourceClient<T> {
  readonly type: ResourceType;
  readonly #send: Send;

  constructor(type: ResourceType, send: Send) {
    this.type = type;
    this.#send = send;
  }

  async get(name: string, namespace?: string, options: CallOptions = {}): Promise<T> {
    const path = resourcePath(this.type, this.#place(name, namespace));
    return this.#one('GET', path, { ...options, what: this.#what('get', name, namespace) });
  }

  async list(
    options: ListOptions = {},
  ): Promise<{ readonly items: readonly T[]; readonly resourceVersion: string }> {
    return listAll<T>(
      (query) =>
        this.#send('GET', resourcePath(this.type, { namespace: options.namespace }, query), {
          ...options,
          what: `list ${this.type.plural}`,
        }),
      this.type,
      { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector },
    );
  }

  async create(
    object: DeepPartialObject<T>,
    options: CallOptions & { readonly fieldManager?: string } = {},
  ): Promise<T> {
    const { name, namespace } = object.metadata;
    const place = this.#place(undefined, namespace);
    const path = resourcePath(this.type, place, { fieldManager: options.fieldManager });
    return this.#one('POST', path, {
      ...options,
      what: this.#what('create', name, namespace),
      body: this.#typed(object),
    });
  }

  async replace(
    object: T,
    options: CallOptions & { readonly fieldManager?: string; readonly subresource?: string } = {},
  ): Promise<T> {
    const { name, namespace } = object.metadata;
    const place = this.#place(name, namespace, options.subresource);
    const path = resourcePath(this.type, place, { fieldManager: options.fieldManager });
    return this.#one('PUT', path, {
      ...options,
      what: this.#what('replace', name, namespace, options.subresource),
      body: this.#typed(object),
    });
  }

  async apply(object: DeepPartialObject<T>, options: ApplyOptions): Promise<T> {
    const { name, namespace } = object.metadata;
    const place = this.#place(name, namespace, options.subresource);
    const { fieldManager, force = true } = options;
    return this.#one('PATCH', resourcePath(this.type, place, { fieldManager, force }), {
      ...options,
      what: this.#what('apply', name, namespace, options.subresource),
      body: this.#typed(object),
      contentType: 'application/apply-patch+yaml', // JSON is YAML; the older name works everywhere
    });
  }

  async mergePatch(
    name: string,
    namespace: string | undefined,
    patch: object,
    options: CallOptions & { readonly fieldManager?: string; readonly subresource?: string } = {},
  ): Promise<T> {
    const place = this.#place(name, namespace, options.subresource);
    const path = resourcePath(this.type, place, { fieldManager: options.fieldManager });
    return this.#one('PATCH', path, {
      ...options,
      what: this.#what('patch', name, namespace, options.subresource),
      body: patch,
      contentType: 'application/merge-patch+json',
    });
  }

  async delete(
    name: string,
    namespace?: string,
    options: CallOptions & {
      readonly uid?: string;
      readonly resourceVersion?: string;
      readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
    } = {},
  ): Promise<void> {
    const { uid, resourceVersion, propagationPolicy } = options;
    const hasPrecondition = uid !== undefined || resourceVersion !== undefined;
    await this.#send('DELETE', resourcePath(this.type, this.#place(name, namespace)), {
      ...options,
      what: this.#what('delete', name, namespace),
      body: {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        ...(propagationPolicy && { propagationPolicy }),
        ...(hasPrecondition && { preconditions: { uid, resourceVersion } }),
      },
    });
  }

  async #one(method: string, path: string, request: RawRequest): Promise<T> {
    const body = await this.#send(method, path, request);
    if (body === null || typeof body !== 'object' || !('metadata' in body))
      throw new ProtocolError(`${request.what}: the answer is no object`);
    return cleaned(body as unknown as T, this.type);
  }

  #typed(object: object): object {
    return { apiVersion: apiVersionOf(this.type), kind: this.type.kind, ...object };
  }

  /** @throws TerminalError if a namespace is missing or too much: the path would mean something else. */
  #place(name: string | undefined, namespace: string | undefined, subresource?: string) {
    if (this.type.namespaced && !namespace)
      throw new TerminalError('InvalidCall', `${this.type.kind} ${name ?? ''} needs a namespace`);
    return { name, namespace, subresource };
  }

  #what(verb: string, name: string, namespace?: string, subresource?: string): string {
    const part = subresource ? ` (${subresource})` : '';
    return `${verb} ${this.type.kind} ${keyOf({ metadata: { name, ...(namespace && { namespace }) } })}${part}`;
  }
}

interface ListBody<T> {
  readonly items?: readonly T[] | null;
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** All pages; when the token of one expires, once more from the start and then in one piece, as client-go does. */
export async function listAll<T extends KubernetesObject>(
  getPage: (query: Readonly<Record<string, string | number | undefined>>) => Promise<unknown>,
  type: ResourceType,
  query: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly items: readonly T[]; readonly resourceVersion: string }> {
  const items: T[] = [];
  let token: string | undefined;
  let limit: number | undefined = listPageSize;
  for (;;) {
    let page: ListBody<T>;
    try {
      page = (await getPage({ ...query, limit, continue: token })) as ListBody<T>;
    } catch (error) {
      if (!(error instanceof GoneError) || token === undefined) throw error;
      items.length = 0;
      token = limit = undefined;
      continue;
    }
    const resourceVersion = page.metadata?.resourceVersion;
    if (resourceVersion === undefined)
      throw new ProtocolError(`list ${type.plural}: the answer is no list`);
    for (const item of page.items ?? []) items.push(cleaned(item, type));
    token = page.metadata?.continue || undefined;
    if (token === undefined) return { items, resourceVersion };
  }
}

/**
 * Adds the type, which items of a list lack, and drops `managedFields`. It is set to undefined and not deleted:
 * that would turn V8's object into a slow and larger dictionary.
 */
export function cleaned<T extends KubernetesObject>(object: T, type: ResourceType): T {
  const own = object as {
    apiVersion?: string;
    kind?: string;
    metadata: { managedFields?: unknown };
  };
  own.apiVersion ??= apiVersionOf(type);
  own.kind ??= type.kind;
  if (own.metadata.managedFields !== undefined) own.metadata.managedFields = undefined;
  return object;
}

function headersOf(impersonate: CallOptions['impersonate']): Record<string, string | string[]> {
  if (!impersonate) return {};
  return {
    'impersonate-user': impersonate.user,
    ...(impersonate.groups?.length && { 'impersonate-group': [...impersonate.groups] }),
  };
}

function refusal(what: string, response: CallResponse): Error {
  const retryAfter = [response.headers['retry-after']].flat()[0];
  return errorOfStatus(what, response.code, statusOfBody(response.text), retryAfter);
}

function parseBody(what: string, response: CallResponse): unknown {
  const isJson = [response.headers['content-type']].flat()[0]?.includes('json') ?? false;
  if (!isJson) return response.text;
  try {
    return JSON.parse(response.text);
  } catch (cause) {
    throw new ProtocolError(`${what}: the answer is no JSON`, { cause });
  }
}
