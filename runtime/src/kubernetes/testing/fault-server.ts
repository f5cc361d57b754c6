/**
 * A small API server of one kind that fails as it is told: for the faults that a real one does not produce on
 * demand. Everything else about it is right: pages, resource versions, replays, bookmarks, 410 after a compaction.
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { KubernetesObject } from '../types.ts';

/** What happens to the next request instead of a right answer. */
export type Fault =
  | 'reset' // the connection is reset before an answer
  | 'reset-after-event' // the watch is reset after the next event
  | 'half-open' // headers, then silence
  | 'mute' // not even headers
  | 'gone' // 410 as an answer
  | 'gone-in-stream' // 410 as an ERROR event
  | 'too-many' // 429 with Retry-After: 0
  | 'error' // 500
  | 'unavailable' // 503
  | 'garbage' // a line that is no JSON
  | 'wrong-event' // JSON that is no event
  | 'drip' // the watch comes byte by byte
  | 'cut' // a clean end in the middle of a line
  | 'close-after-event'; // a clean end after the next event

export const faults: readonly Fault[] = [
  'reset',
  'reset-after-event',
  'half-open',
  'mute',
  'gone',
  'gone-in-stream',
  'too-many',
  'error',
  'unavailable',
  'garbage',
  'wrong-event',
  'drip',
  'cut',
  'close-after-event',
];

export interface Thing extends KubernetesObject {
  readonly spec: { readonly value: number };
}

interface Change {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: unknown;
}

export class FaultServer {
  readonly objects = new Map<string, Thing>();
  /** Faults for the next requests, in order. */
  readonly plan: Fault[] = [];
  /** Method and URL of all requests. */
  readonly requests: string[] = [];
  injected = 0;
  pageSize: number | undefined;
  #version = 1;
  #uid = 0;
  #compacted = 0;
  readonly #history: Change[] = [];
  readonly #snapshots = new Map<number, readonly Thing[]>();
  readonly #watchers = new Map<(change: Change) => void, ServerResponse>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined);
    });
  }

  static async start(): Promise<FaultServer> {
    const server = new FaultServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  put(name: string, value: number): Thing {
    const old = this.objects.get(name);
    const object = this.#thing(name, old?.metadata.uid ?? `uid-${++this.#uid}`, value);
    this.objects.set(name, object);
    this.#change(old ? 'MODIFIED' : 'ADDED', object);
    return object;
  }

  remove(name: string): void {
    const old = this.objects.get(name);
    if (!old) return;
    this.objects.delete(name);
    this.#change('DELETED', this.#thing(name, old.metadata.uid ?? '', old.spec.value));
  }

  /** Forgets what happened so far: who resumes from before gets 410. */
  compact(): void {
    this.#compacted = this.#version;
  }

  bookmark(): void {
    const object = { kind: 'Thing', metadata: { resourceVersion: `${this.#version}` } };
    this.#tell({ version: this.#version, type: 'BOOKMARK', object });
  }

  /** Tells all watches that they are too old, and whoever resumes from before. */
  expire(): void {
    this.compact();
    for (const response of this.#watchers.values()) response.end(expired);
    this.#watchers.clear();
  }

  /** Ends all connections with a reset. */
  resetAll(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #thing(name: string, uid: string, value: number): Thing {
    const resourceVersion = `${this.#version + 1}`;
    const managedFields = [{ manager: 'someone' }];
    return {
      apiVersion: 'test.dev/v1',
      kind: 'Thing',
      metadata: { name, uid, resourceVersion, ...{ managedFields } },
      spec: { value },
    };
  }

  #change(type: Change['type'], object: Thing): void {
    const change = { version: ++this.#version, type, object };
    this.#history.push(change);
    this.#tell(change);
  }

  #tell(change: Change): void {
    for (const watcher of [...this.#watchers.keys()]) watcher(change);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${request.method} ${request.url}`);
    const query = new URL(request.url ?? '', this.url).searchParams;
    const fault = this.plan.shift();
    if (fault) this.injected++;
    response.on('error', () => undefined);
    if (fault === 'reset') return void request.socket.resetAndDestroy();
    if (fault === 'mute') return;
    if (fault === 'error') return sendStatus(response, 500, 'etcd is on fire');
    if (fault === 'unavailable') return sendStatus(response, 503, 'not now');
    if (fault === 'gone') return sendStatus(response, 410, 'too old');
    if (fault === 'too-many') return sendStatus(response, 429, 'slow down', { 'retry-after': '0' });
    if (query.get('watch') === 'true') this.#watch(response, query, fault);
    else this.#list(response, query);
  }

  #list(response: ServerResponse, query: URLSearchParams): void {
    const token = query.get('continue');
    const [version, start] = token
      ? (token.split(':').map(Number) as [number, number])
      : [this.#version, 0];
    if (version < this.#compacted) return sendStatus(response, 410, 'the token is too old');
    // All pages are of one version, whatever happens meanwhile.
    const all = this.#snapshots.get(version) ?? [...this.objects.values()];
    this.#snapshots.set(version, all);
    const limit = Math.min(Number(query.get('limit') ?? Infinity), this.pageSize ?? Infinity);
    const end = query.has('limit') ? start + limit : all.length;
    const listMetadata = {
      resourceVersion: `${version}`,
      ...(end < all.length && { continue: `${version}:${end}` }),
    };
    // As for built-in kinds, an item does not repeat its type.
    const items = all.slice(start, end).map(({ metadata, spec }) => ({ metadata, spec }));
    sendJson(response, 200, {
      apiVersion: 'test.dev/v1',
      kind: 'ThingList',
      metadata: listMetadata,
      items,
    });
  }

  #watch(response: ServerResponse, query: URLSearchParams, fault: Fault | undefined): void {
    const since = query.get('resourceVersion');
    const from = since ? Number(since) : this.#version;
    if (from < this.#compacted) return sendStatus(response, 410, 'too old resource version');
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (fault === 'half-open') return;
    if (fault === 'garbage') return void response.write('{"type":"ADDED","obj\n');
    if (fault === 'wrong-event') return void response.write('{"type":"NEWS","object":{}}\n');
    if (fault === 'gone-in-stream') return void response.end(expired);
    const watcher = (change: Change): void => {
      if (change.type !== 'BOOKMARK' && change.version <= from) return;
      if (sendEvent(response, change, fault)) this.#watchers.delete(watcher);
    };
    this.#watchers.set(watcher, response);
    response.on('close', () => this.#watchers.delete(watcher));
    // Who names no version is told what there is.
    if (!since)
      for (const object of this.objects.values())
        sendEvent(response, { version: from, type: 'ADDED', object }, undefined);
    for (const change of this.#history) {
      if (!this.#watchers.has(watcher)) return;
      watcher(change);
    }
  }
}

const expired = `${JSON.stringify({
  type: 'ERROR',
  object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' },
})}\n`;

/** True if nothing more will come. */
function sendEvent(response: ServerResponse, change: Change, fault: Fault | undefined): boolean {
  const line = `${JSON.stringify({ type: change.type, object: change.object })}\n`;
  switch (fault) {
    case 'cut':
      response.end(line.slice(0, line.length / 2));
      return true;
    case 'close-after-event':
      response.end(line);
      return true;
    case 'reset-after-event':
      response.write(line, () => response.socket?.resetAndDestroy());
      return true;
    case 'drip':
      for (const byte of Buffer.from(line)) response.write(Buffer.of(byte));
      return false;
    default:
      response.write(line);
      return false;
  }
}

function sendStatus(
  response: ServerResponse,
  code: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  sendJson(response, code, { kind: 'Status', code, message });
}

function sendJson(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
