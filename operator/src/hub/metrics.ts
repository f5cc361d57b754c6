/** What a hub counts. Label sets are closed: no object names. */
import type { TunnelMetrics } from '@cloudlet/tunnel';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type HubMetrics = ReturnType<typeof createHubMetrics>;

export function createHubMetrics(registry: Registry) {
  const registers = [registry];
  return {
    links: new Gauge({ name: 'edge_hub_links', help: 'Members connected.', registers }),
    sites: new Gauge({ name: 'edge_hub_sites', help: 'Sites with an acting member.', registers }),
    admissions: new Counter({
      name: 'edge_hub_admissions_total',
      help: 'Connections by what was decided about them.',
      labelNames: ['result'] as const,
      registers,
    }),
    orders: new Counter({
      name: 'edge_hub_orders_total',
      help: 'Plans, removals and forgets sent.',
      labelNames: ['kind'] as const,
      registers,
    }),
    held: new Counter({
      name: 'edge_hub_render_failures_total',
      help: 'Plans that could not be rendered.',
      registers,
    }),
    ahead: new Counter({
      name: 'edge_hub_sites_ahead_total',
      help: 'Instances of which a site had a later plan than the region, as after a restore.',
      registers,
    }),
    reports: new Counter({
      name: 'edge_hub_reports_total',
      help: 'Reports of sites by what became of them.',
      labelNames: ['kind', 'result'] as const,
      registers,
    }),
    reportSeconds: new Histogram({
      name: 'edge_hub_report_write_seconds',
      help: 'Time that one status write took.',
      labelNames: ['kind'] as const,
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
      registers,
    }),
    refusals: new Counter({
      name: 'edge_hub_refused_reports_total',
      help: 'Reports refused, by the wall that did (hub, schema, policy).',
      labelNames: ['wall', 'reason'] as const,
      registers,
    }),
    leaseWrites: new Counter({
      name: 'edge_hub_lease_writes_total',
      help: 'Writes of Leases by result.',
      labelNames: ['result'] as const,
      registers,
    }),
    takeovers: new Counter({
      name: 'edge_hub_takeovers_total',
      help: 'Times that an agent took the Lease of its site from a live one.',
      registers,
    }),
    enrolments: new Counter({
      name: 'edge_hub_enrolments_total',
      help: 'Enrolment calls by outcome.',
      labelNames: ['state'] as const,
      registers,
    }),
    sessions: new Gauge({
      name: 'edge_hub_sessions',
      help: 'Access sessions under way.',
      registers,
    }),
  };
}

/** What the tunnel server tells of its connections. */
export function tunnelMetrics(registry: Registry): TunnelMetrics {
  const registers = [registry];
  const handshakes = new Counter({
    name: 'edge_tunnel_handshakes_total',
    help: 'TLS handshakes of agents by outcome and way in.',
    labelNames: ['outcome', 'via'] as const,
    registers,
  });
  const closed = new Counter({
    name: 'edge_tunnel_links_closed_total',
    help: 'Links that ended, by reason.',
    labelNames: ['reason'] as const,
    registers,
  });
  const limited = new Counter({
    name: 'edge_tunnel_limited_total',
    help: 'Times that a site hit a bound of its own, by bound.',
    labelNames: ['limit'] as const,
    registers,
  });
  const sessions = new Histogram({
    name: 'edge_tunnel_session_open_seconds',
    help: 'Time from asking a site for a session to its stream.',
    labelNames: ['outcome'] as const,
    buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  const enrollments = new Counter({
    name: 'edge_tunnel_enrollments_total',
    help: 'Connections of the enrolment listener by outcome.',
    labelNames: ['state'] as const,
    registers,
  });
  return {
    handshake: (outcome, via) => handshakes.inc({ outcome, via }),
    limited: (limit) => limited.inc({ limit }),
    linkClosed: (reason) => closed.inc({ reason }),
    session: (outcome, seconds) => sessions.observe({ outcome }, seconds),
    enrollment: (state) => enrollments.inc({ state }),
  };
}
