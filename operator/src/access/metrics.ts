/** What the access server counts. Label sets are closed: no users, no objects. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type AccessMetrics = ReturnType<typeof createAccessMetrics>;

export function createAccessMetrics(registry: Registry) {
  const registers = [registry];
  return {
    sessions: new Gauge({
      name: 'edge_access_sessions',
      help: 'Sessions under way.',
      labelNames: ['kind'] as const,
      registers,
    }),
    openSeconds: new Histogram({
      name: 'edge_access_session_open_seconds',
      help: 'Time from the request to the stream of the site.',
      labelNames: ['kind'] as const,
      buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    refused: new Counter({
      name: 'edge_access_refused_total',
      help: 'Requests that did not become a session, by reason.',
      labelNames: ['reason'] as const,
      registers,
    }),
  };
}
