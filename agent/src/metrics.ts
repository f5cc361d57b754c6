/** The agent's metrics. Label sets are closed: no name of an instance, node or user is ever a label. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AgentState } from './agent.ts';

export type CallVerb = 'Ensure' | 'Remove';
export type CallOutcome = 'done' | 'working' | 'failed';

export type SessionOutcome = 'Ended' | 'Failed';

export interface AgentMetrics {
  readonly driverCall: (verb: CallVerb, outcome: CallOutcome, ms: number) => void;
  readonly session: (kind: string, outcome: SessionOutcome) => void;
  text(): Promise<string>;
  readonly contentType: string;
}

export interface MetricsOptions {
  readonly version: string;
  readonly state: () => AgentState;
  readonly connected: () => boolean;
  readonly sessions: () => number;
}

export function createAgentMetrics(options: MetricsOptions): AgentMetrics {
  const registry = new Registry();
  const registers = [registry];
  const calls = new Histogram({
    name: 'edge_agent_driver_call_seconds',
    help: 'Time of a call of the driver.',
    labelNames: ['verb', 'outcome'] as const,
    buckets: [0.01, 0.1, 0.5, 1, 5, 15, 30, 60],
    registers,
  });
  const ended = new Counter({
    name: 'edge_agent_sessions_total',
    help: 'Sessions that were asked for.',
    labelNames: ['kind', 'outcome'] as const,
    registers,
  });
  addGauges(registry, options);
  return {
    driverCall: (verb, outcome, ms) => calls.observe({ verb, outcome }, ms / 1000),
    session: (kind, outcome) => ended.inc({ kind, outcome }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function addGauges(
  registry: Registry,
  { version, state, connected, sessions }: MetricsOptions,
): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  };
  gauge('edge_agent_connected', 'Whether the tunnel is up.', () => Number(connected()));
  gauge('edge_agent_active', 'Whether this member acts for its site.', () =>
    Number(state().active),
  );
  gauge('edge_agent_observing', 'Whether the platform answers.', () => Number(state().observing));
  gauge('edge_agent_instances', 'Instances that are wanted here.', () => state().instances);
  gauge('edge_agent_instances_failing', 'Instances whose last call failed.', () => state().failed);
  gauge('edge_agent_orphans', 'Instances that the region does not know.', () => state().orphans);
  gauge('edge_agent_driver_calls_running', 'Driver calls under way.', () => state().calls);
  gauge('edge_agent_reports', 'Reports since the agent started.', () => state().reports);
  gauge('edge_agent_sessions', 'Sessions that are open.', sessions);
  gauge('process_resident_memory_bytes', 'Resident memory.', () => process.memoryUsage.rss());
  gauge('process_start_time_seconds', 'Start of the process, Unix time.', () =>
    Math.round(Date.now() / 1000 - process.uptime()),
  );
  new Gauge({
    name: 'edge_agent_info',
    help: 'Version of the agent.',
    labelNames: ['version'],
    registers: [registry],
  }).set({ version }, 1);
}
