/**
 * Metrics under controller-runtime's and client-go's own names, so that stock dashboards work.
 *
 * Guarantees: label sets are closed (no names of objects); asking twice on one registry gives the same series;
 * the counters of a controller start at 0.
 */
import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  type Registry,
} from 'prom-client';
import type { QueueMetrics, WorkQueue } from '../base/index.ts';
import type { TransportMetrics } from './transport.ts';

export function restMetrics(registry: Registry): TransportMetrics {
  return {
    requests: counter(registry, {
      name: 'rest_client_requests_total',
      help: 'Number of HTTP requests, partitioned by status code, method, and host.',
      labelNames: ['code', 'method', 'host'],
    }),
    duration: histogram(registry, {
      name: 'rest_client_request_duration_seconds',
      help: 'Request latency in seconds, partitioned by verb and host.',
      labelNames: ['verb', 'host'],
      buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
    }),
  };
}

export const reconcileResults = ['success', 'error', 'requeue', 'requeue_after'] as const;
export type ReconcileResult = (typeof reconcileResults)[number];

/** What a controller counts. */
export interface ControllerMetrics {
  started(): void;
  ended(result: ReconcileResult, seconds: number): void;
  failed(kind: 'terminal' | 'panic' | 'timeout'): void;
}

const reconcileBuckets = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1,
  1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

export function controllerMetrics(
  registry: Registry,
  controller: string,
  workers: number,
): ControllerMetrics {
  const prefix = 'controller_runtime';
  const count = (name: string, help: string) =>
    counter(registry, { name: `${prefix}_${name}`, help, labelNames: ['controller'] });
  const total = counter(registry, {
    name: `${prefix}_reconcile_total`,
    help: 'Total number of reconciliations per controller',
    labelNames: ['controller', 'result'],
  });
  const errors = count('reconcile_errors_total', 'Total number of reconciliation errors');
  const kinds = {
    terminal: count('terminal_reconcile_errors_total', 'Total number of terminal errors'),
    panic: count('reconcile_panics_total', 'Total number of reconcile panics'),
    timeout: count('reconcile_timeouts_total', 'Total number of reconcile timeouts'),
  };
  const active = gauge(registry, {
    name: `${prefix}_active_workers`,
    help: 'Number of currently used workers per controller',
    labelNames: ['controller'],
  });
  const time = histogram(registry, {
    name: `${prefix}_reconcile_time_seconds`,
    help: 'Length of time per reconciliation per controller',
    labelNames: ['controller'],
    buckets: reconcileBuckets,
  });
  gauge(registry, {
    name: `${prefix}_max_concurrent_reconciles`,
    help: 'Maximum number of concurrent reconciles per controller',
    labelNames: ['controller'],
  }).set({ controller }, workers);
  for (const result of reconcileResults) total.inc({ controller, result }, 0);
  for (const each of [errors, ...Object.values(kinds)]) each.inc({ controller }, 0);
  active.set({ controller }, 0);
  return {
    started: () => active.inc({ controller }),
    ended(result, seconds) {
      active.dec({ controller });
      total.inc({ controller, result });
      if (result === 'error') errors.inc({ controller });
      time.observe({ controller }, seconds);
    },
    failed: (kind) => kinds[kind].inc({ controller }),
  };
}

const queueBuckets = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 60, 600, 1_000];

/** The `workqueue_*` series of one queue. Pass the result to the queue and the queue to `observe`. */
export function queueMetrics(
  registry: Registry,
  name: string,
): QueueMetrics & { observe(queue: WorkQueue): void } {
  const labelNames = ['name', 'controller'] as const;
  const labels = { name, controller: name };
  const depth = gauge(registry, {
    name: 'workqueue_depth',
    help: 'Current depth of workqueue by workqueue name',
    labelNames,
  });
  const adds = counter(registry, {
    name: 'workqueue_adds_total',
    help: 'Total number of adds handled by workqueue',
    labelNames,
  });
  const retries = counter(registry, {
    name: 'workqueue_retries_total',
    help: 'Total number of retries handled by workqueue',
    labelNames,
  });
  const waited = histogram(registry, {
    name: 'workqueue_queue_duration_seconds',
    help: 'How long in seconds an item stays in workqueue before being requested',
    labelNames,
    buckets: queueBuckets,
  });
  const worked = histogram(registry, {
    name: 'workqueue_work_duration_seconds',
    help: 'How long in seconds processing an item from workqueue takes.',
    labelNames,
    buckets: queueBuckets,
  });
  adds.inc(labels, 0);
  retries.inc(labels, 0);
  depth.set(labels, 0);
  return {
    depth: (ready) => depth.set(labels, ready),
    added: () => adds.inc(labels),
    retried: () => retries.inc(labels),
    taken: (seconds) => waited.observe(labels, seconds),
    done: (seconds) => worked.observe(labels, seconds),
    observe: (queue) => observeUnfinished(registry, name, queue),
  };
}

/** Computed when scraped: what is under way has no event to count by. */
const observed = new WeakMap<Registry, Map<string, WorkQueue>>();

function observeUnfinished(registry: Registry, name: string, queue: WorkQueue): void {
  const queues = observed.get(registry) ?? new Map<string, WorkQueue>();
  observed.set(registry, queues.set(name, queue));
  const collected = (pick: (ages: readonly number[]) => number) =>
    function (this: Gauge<'name' | 'controller'>): void {
      for (const [each, { ages }] of queues)
        this.set({ name: each, controller: each }, pick(ages()));
    };
  gauge(registry, {
    name: 'workqueue_unfinished_work_seconds',
    help: 'How many seconds of work has been done that is in progress and not yet observed',
    labelNames: ['name', 'controller'] as const,
    collect: collected((ages) => ages.reduce((sum, age) => sum + age, 0)),
  });
  gauge(registry, {
    name: 'workqueue_longest_running_processor_seconds',
    help: 'How many seconds has the longest running processor for workqueue been running',
    labelNames: ['name', 'controller'] as const,
    collect: collected((ages) => Math.max(0, ...ages)),
  });
}

export function leaderMetric(registry: Registry, name: string): (isLeader: boolean) => void {
  const status = gauge(registry, {
    name: 'leader_election_master_status',
    help: 'Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master.',
    labelNames: ['name'],
  });
  status.set({ name }, 0);
  return (isLeader) => status.set({ name }, isLeader ? 1 : 0);
}

/** The series of this name, made when it is not there yet. */
export function counter<L extends string>(
  registry: Registry,
  configuration: CounterConfiguration<L>,
): Counter<L> {
  const known = registry.getSingleMetric(configuration.name) as Counter<L> | undefined;
  return known ?? new Counter({ ...configuration, registers: [registry] });
}

export function gauge<L extends string>(
  registry: Registry,
  configuration: GaugeConfiguration<L>,
): Gauge<L> {
  const known = registry.getSingleMetric(configuration.name) as Gauge<L> | undefined;
  return known ?? new Gauge({ ...configuration, registers: [registry] });
}

export function histogram<L extends string>(
  registry: Registry,
  configuration: HistogramConfiguration<L>,
): Histogram<L> {
  const known = registry.getSingleMetric(configuration.name) as Histogram<L> | undefined;
  return known ?? new Histogram({ ...configuration, registers: [registry] });
}
