/**
 * Health and metrics over HTTP, on localhost unless told otherwise.
 *
 *   GET /healthz  200 while the process answers at all
 *   GET /readyz   200 when the platform answers and the store can be written; the tunnel may be down,
 *                 since a site works while it is cut off
 *   GET /metrics  Prometheus text
 * Refuses everything else, keeps no connection longer than a request and reads no body.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { TerminalError } from '@cloudlet/runtime/base';
import type { AgentMetrics } from './metrics.ts';

export interface HealthOptions {
  /** `host:port`; port 0 takes a free one, no host is every address. */
  readonly address: string;
  /** Why the agent is not ready; empty when it is. */
  readonly problems: () => readonly string[];
  readonly metrics: Pick<AgentMetrics, 'text' | 'contentType'>;
}

export interface HealthServer {
  readonly port: number;
  close(): Promise<void>;
}

/** @throws TerminalError when the address is wrong or taken. */
export async function serveHealth(options: HealthOptions): Promise<HealthServer> {
  const { host, port } = parseListen(options.address);
  const server = createServer(
    { requestTimeout: 5000, keepAliveTimeout: 1000 },
    (request, response) => {
      const reply = (status: number, type: string, text: string): void => {
        response.writeHead(status, { 'content-type': type }).end(text);
      };
      answer(request.method ?? '', request.url ?? '', options).then(
        ({ status, type, text }) => reply(status, type, text),
        () => reply(500, 'text/plain', 'internal error\n'),
      );
    },
  );
  server.maxConnections = 32;
  await listen(server, host, port, options.address);
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

async function answer(method: string, url: string, options: HealthOptions): Promise<Answer> {
  const type = 'text/plain; charset=utf-8';
  if (method !== 'GET') return { status: 405, type, text: 'GET only\n' };
  if (url === '/healthz') return { status: 200, type, text: 'ok\n' };
  if (url === '/readyz') {
    const problems = options.problems();
    if (problems.length === 0) return { status: 200, type, text: 'ok\n' };
    return { status: 503, type, text: problems.join('\n') + '\n' };
  }
  if (url === '/metrics') {
    const { metrics } = options;
    return { status: 200, type: metrics.contentType, text: await metrics.text() };
  }
  return { status: 404, type, text: 'there are /healthz, /readyz and /metrics\n' };
}

function parseListen(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65535)
    throw new TerminalError('InvalidFlags', `--health-address wants host:port, not '${address}'`);
  return { host, port };
}

function listen(server: Server, host: string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new TerminalError(
          'InvalidFlags',
          `cannot listen on ${address}; choose another by --health-address`,
          { cause },
        ),
      ),
    );
    server.listen(port, host, resolve);
  });
}
