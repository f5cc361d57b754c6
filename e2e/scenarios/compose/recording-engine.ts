/**
 * An engine that makes nothing: it answers what `docker stack deploy` asks as an empty swarm would, and keeps
 * the bodies of what it is told to create. So the tool's conversion can be seen for keys that the engine at
 * hand is too old to store.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

export interface CreateBody {
  readonly Name: string;
  readonly [key: string]: unknown;
}

export type Created = Record<'services' | 'networks' | 'configs' | 'secrets', CreateBody[]>;

const apiVersion = '1.50';

export class RecordingEngine implements AsyncDisposable {
  readonly #server: Server;
  readonly created: Created = { services: [], networks: [], configs: [], secrets: [] };

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async listen(socket: string): Promise<RecordingEngine> {
    const engine = new RecordingEngine();
    await new Promise<void>((resolve, reject) => {
      engine.#server.once('error', reject);
      engine.#server.listen(socket, resolve);
    });
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://engine');
    const path = url.pathname.replace(/^\/v1\.\d+/, '');
    const body = request.method === 'POST' ? (JSON.parse(await text(request)) as CreateBody) : null;
    response.setHeader('Api-Version', apiVersion);
    response.setHeader('Content-Type', 'application/json');
    const [status, answer] = body ? this.#create(path, body) : this.#read(path, url.searchParams);
    response.statusCode = status;
    response.end(request.method === 'HEAD' ? '' : JSON.stringify(answer));
  }

  #create(path: string, body: CreateBody): readonly [number, unknown] {
    const kind = /^\/(services|networks|configs|secrets)\/create$/.exec(path)?.[1];
    if (!kind) return [404, { message: `no such call: ${path}` }];
    this.created[kind as keyof Created].push(body);
    return [201, { ID: `id-of-${body.Name}`, Id: `id-of-${body.Name}` }];
  }

  #read(path: string, query: URLSearchParams): readonly [number, unknown] {
    if (path === '/_ping') return [200, 'OK'];
    if (path === '/version') return [200, { ApiVersion: apiVersion, Version: '0.0.0' }];
    if (path === '/info')
      return [200, { Swarm: { ControlAvailable: true, LocalNodeState: 'active' } }];
    if (/^\/(configs|secrets)$/.test(path)) return [200, namedIn(query)];
    if (/^\/networks\/./.test(path)) return [200, { Id: 'n', Scope: 'swarm' }];
    if (/^\/(services|networks|nodes|tasks)$/.test(path)) return [200, []];
    return [404, { message: 'no such object' }];
  }
}

/** Objects for the names that a list is filtered by: whatever is looked for is there. */
function namedIn(query: URLSearchParams): readonly unknown[] {
  const filters = JSON.parse(query.get('filters') ?? '{}') as { name?: Record<string, boolean> };
  return Object.keys(filters.name ?? {}).map((Name) => ({ ID: `id-of-${Name}`, Spec: { Name } }));
}
