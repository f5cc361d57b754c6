/** What tests of this folder share: a client of the fault server, and waiting for a state instead of a time. */
import { type IncomingHttpHeaders, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import { type Clock, silentLogger, systemClock } from '../../base/index.ts';
import type { ClusterAccess, Credentials } from '../access.ts';
import { createClient } from '../client.ts';
import type { KubernetesClient, ResourceType } from '../types.ts';

export const things: ResourceType = {
  group: 'test.dev',
  version: 'v1',
  plural: 'things',
  kind: 'Thing',
  namespaced: false,
};

export function accessTo(server: string, credentials?: Credentials): ClusterAccess {
  return {
    server,
    namespace: undefined,
    proxyUrl: undefined,
    credentials: async () => credentials ?? { headers: {}, tls: {} },
  };
}

export function clientOf(server: string, clock: Clock = systemClock): KubernetesClient {
  return createClient({ access: accessTo(server), logger: silentLogger, clock, userAgent: 'test' });
}

/** Waits until `isReached`; fails with what `describe` says after ten seconds. */
export async function until(isReached: () => boolean, describe: () => string): Promise<void> {
  const started = performance.now();
  while (!isReached()) {
    if (performance.now() - started > 10_000) throw new Error(`not reached: ${describe()}`);
    await setImmediate();
  }
}

/** Real time whose sleeps are noted and over at once. */
export class ImpatientClock implements Clock {
  readonly sleeps: number[] = [];
  now = (): number => systemClock.now();
  monotonic = (): number => systemClock.monotonic();
  after = (ms: number, callback: () => void): { cancel(): void } => systemClock.after(ms, callback);
  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    await systemClock.sleep(1, signal);
  }
}

/** A server that answers by a function; gives its address and what was asked. */
export async function serve(
  answer: (request: Asked, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly asked: readonly Asked[] } & AsyncDisposable> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const { method = '', url = '', headers } = request;
      asked.push({ method, url, headers, body });
      answer(asked.at(-1) as Asked, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
