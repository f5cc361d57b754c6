/**
 * The alerts: each is about something that a person can do, and docs/runbooks.md says what, in a section of its
 * name. Metrics are those that the processes register; a test looks them up in the sources.
 */
export interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long it holds before it is told. */
  readonly for: string;
  readonly severity: 'critical' | 'warning';
  /** May hold templates of Prometheus. */
  readonly summary: string;
}

const job = (process: string): string => `job="cloudlet-${process}"`;

export const alerts: readonly Alert[] = [
  {
    name: 'CloudletOperatorDown',
    expr: `absent(up{${job('operator')}} == 1)`,
    for: '5m',
    severity: 'critical',
    summary: 'No operator runs: nothing is placed, rolled out or removed.',
  },
  {
    name: 'CloudletNoLeader',
    expr: `max(leader_election_master_status{${job('operator')}}) < 1`,
    for: '2m',
    severity: 'critical',
    summary: 'Operators run, and none of them leads.',
  },
  {
    name: 'CloudletHubDown',
    expr: `absent(up{${job('hub')}} == 1)`,
    for: '2m',
    severity: 'critical',
    summary: 'No hub runs: no site hears of changes or reports. What runs at sites keeps running.',
  },
  {
    name: 'CloudletSitesLost',
    expr: '(sum(edge_cloudlets{ready!="True"}) / sum(edge_cloudlets)) > 0.25 and sum(edge_cloudlets) >= 4',
    for: '5m',
    severity: 'critical',
    summary: '{{ $value | humanizePercentage }} of the sites are not Ready.',
  },
  {
    name: 'CloudletSiteNotReady',
    expr: 'max(edge_cloudlets{ready!="True"}) > 0',
    for: '15m',
    severity: 'warning',
    summary: '{{ $value }} sites are not Ready.',
  },
  {
    name: 'CloudletInstancesNotReady',
    expr: 'max(edge_appinsts{ready="False"}) > 0',
    for: '15m',
    severity: 'warning',
    summary: '{{ $value }} instances are not Ready.',
  },
  {
    name: 'CloudletReconcileErrors',
    expr: `sum by (controller) (rate(controller_runtime_reconcile_errors_total{${job('operator')}}[10m])) > 0.1`,
    for: '15m',
    severity: 'warning',
    summary: 'Reconciles of {{ $labels.controller }} fail again and again.',
  },
  {
    name: 'CloudletReconcilePanics',
    expr: `sum by (controller) (increase(controller_runtime_reconcile_panics_total{${job('operator')}}[15m])) > 0`,
    for: '0m',
    severity: 'warning',
    summary: 'A reconcile of {{ $labels.controller }} ended by an error that nobody foresaw.',
  },
  {
    name: 'CloudletQueueStuck',
    expr: `max by (controller) (workqueue_longest_running_processor_seconds{${job('operator')}}) > 300`,
    for: '5m',
    severity: 'warning',
    summary: 'A reconcile of {{ $labels.controller }} runs for {{ $value | humanizeDuration }}.',
  },
  {
    name: 'CloudletQueueBehind',
    expr: `histogram_quantile(0.99, sum by (le, controller) (rate(workqueue_queue_duration_seconds_bucket{${job('operator')}}[5m]))) > 30`,
    for: '15m',
    severity: 'warning',
    summary: 'Changes for {{ $labels.controller }} wait {{ $value | humanizeDuration }}.',
  },
  {
    name: 'CloudletReportsRefused',
    expr: 'sum by (wall, reason) (increase(edge_hub_refused_reports_total[15m])) > 0',
    for: '0m',
    severity: 'warning',
    summary: 'Reports of a site were refused by the wall {{ $labels.wall }}: {{ $labels.reason }}.',
  },
  {
    name: 'CloudletPlansNotRendered',
    expr: 'sum(increase(edge_hub_render_failures_total[15m])) > 0',
    for: '0m',
    severity: 'warning',
    summary: 'Plans could not be rendered, so a change does not reach its site.',
  },
  {
    name: 'CloudletSiteAhead',
    expr: 'sum(increase(edge_hub_sites_ahead_total[1h])) > 0',
    for: '0m',
    severity: 'warning',
    summary: 'A site has a later plan than the region, as after a restore from a backup.',
  },
  {
    name: 'CloudletDuplicateAgent',
    expr: 'sum(increase(edge_hub_takeovers_total[15m])) > 3',
    for: '0m',
    severity: 'warning',
    summary: 'Agents of a site take its Lease from each other.',
  },
  {
    name: 'CloudletHandshakesFail',
    expr: 'sum by (outcome) (rate(edge_tunnel_handshakes_total{outcome!="Established"}[10m])) > 1',
    for: '15m',
    severity: 'warning',
    summary: 'Connections of agents fail: {{ $labels.outcome }}.',
  },
  {
    name: 'CloudletApiThrottled',
    expr: 'sum by (job) (rate(rest_client_requests_total{job=~"cloudlet-.*",code="429"}[10m])) > 1',
    for: '15m',
    severity: 'warning',
    summary: 'The API server holds {{ $labels.job }} up (429).',
  },
  {
    name: 'CloudletTelemetryDropped',
    expr: 'sum by (job, signal) (increase(edge_telemetry_dropped_total[15m])) > 0',
    for: '15m',
    severity: 'warning',
    summary: 'The collector does not take {{ $labels.signal }} of {{ $labels.job }}.',
  },
];
