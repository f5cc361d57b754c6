/**
 * What probes and Prometheus ask: `/healthz`, `/readyz` and `/metrics`.
 *
 * Guarantees: an answer tells each check by name; a check that throws counts as failed; only GET and HEAD are
 * answered. `/healthz` fails when a restart would help, which a lost API server is not: an informer that keeps
 * trying is alive. That the answer comes at all is the check of the event loop.
 */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { type Clock, type Logger, describeError } from '../base/index.ts';
import type { ObservableInformer } from './informer.ts';
import type { Informer, KubernetesObject } from './types.ts';

/** Undefined when all is well, else what is wrong. */
export type Check = () => string | undefined;
export type Checks = Readonly<Record<string, Check>>;

export interface HealthOptions {
  /** 0 takes any free one. */
  readonly port: number;
  /** @default all addresses */
  readonly host?: string;
  readonly live?: Checks;
  readonly ready?: Checks;
  readonly registry?: Registry;
  readonly logger: Logger;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** A watch ends by itself after ten minutes; one that is silent for longer hangs. */
const stuckMs = 15 * 60_000;

/** Fails when the informer's own loop neither heard nor tried anything. */
export function watchProgress(
  informers: readonly Pick<ObservableInformer<KubernetesObject>, 'type' | 'lastAttempt'>[],
  clock: Clock,
): Check {
  return () => {
    const stuck = informers.filter(({ lastAttempt }) => clock.monotonic() - lastAttempt > stuckMs);
    return stuck.length === 0
      ? undefined
      : `stuck: ${stuck.map((each) => each.type.plural).join(', ')}`;
  };
}

export function cachesSynced(
  informers: readonly Pick<Informer<KubernetesObject>, 'type' | 'hasSynced'>[],
): Check {
  return () => {
    const waiting = informers.filter(({ hasSynced }) => !hasSynced);
    return waiting.length === 0
      ? undefined
      : `not yet listed: ${waiting.map((each) => each.type.plural).join(', ')}`;
  };
}

/** Listens; rejects when the port is taken. */
export async function startHealthServer(options: HealthOptions): Promise<HealthServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => {
      options.logger.error('a probe failed', { path: request.url, error });
      response.statusCode = 500;
      response.end();
    });
  });
  server.requestTimeout = 10_000;
  await listen(server, options);
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, { port, host }: HealthOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host !== undefined && { host }) }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function answer(
  options: HealthOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405, 'GET only');
  const path = request.url?.split('?')[0];
  if (path === '/healthz') return report(response, options.live ?? {});
  if (path === '/readyz') return report(response, options.ready ?? {});
  if (path === '/metrics' && options.registry) {
    response.setHeader('content-type', options.registry.contentType);
    return end(response, 200, await options.registry.metrics());
  }
  end(response, 404, 'not found');
}

function report(response: ServerResponse, checks: Checks): void {
  const results = Object.entries(checks).map(([name, check]) => [name, resultOf(check)] as const);
  const isWell = results.every(([, problem]) => problem === undefined);
  const lines = results.map(([name, problem]) =>
    problem === undefined ? `[+]${name} ok` : `[-]${name} failed: ${problem}`,
  );
  end(response, isWell ? 200 : 503, [...lines, isWell ? 'ok' : 'failed', ''].join('\n'));
}

function resultOf(check: Check): string | undefined {
  try {
    return check();
  } catch (error) {
    return describeError(error);
  }
}

function end(response: ServerResponse, code: number, text: string): void {
  response.statusCode = code;
  if (!response.hasHeader('content-type'))
    response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.end(text);
}
