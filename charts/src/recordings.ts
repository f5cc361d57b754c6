/**
 * What Prometheus works out beforehand: the few figures by which a region's health is read over months, and
 * which service levels are told by. Their names follow Prometheus' `level:metric:operations`.
 */
export interface Recording {
  readonly name: string;
  readonly expr: string;
}

const operatorJob = 'job="cloudlet-operator"';

export const recordings: readonly Recording[] = [
  {
    name: 'region:edge_cloudlets_ready:ratio',
    expr: 'sum(edge_cloudlets{ready="True"}) / sum(edge_cloudlets)',
  },
  {
    name: 'region:edge_appinsts_ready:ratio',
    expr: 'sum(edge_appinsts{ready="True"}) / sum(edge_appinsts)',
  },
  {
    name: 'controller:controller_runtime_reconcile_errors:rate5m',
    expr: `sum by (controller) (rate(controller_runtime_reconcile_errors_total{${operatorJob}}[5m]))`,
  },
  {
    name: 'controller:workqueue_queue_duration_seconds:p99_5m',
    expr: `histogram_quantile(0.99, sum by (le, controller) (rate(workqueue_queue_duration_seconds_bucket{${operatorJob}}[5m])))`,
  },
  {
    name: 'kind:edge_hub_report_write_seconds:p99_5m',
    expr: 'histogram_quantile(0.99, sum by (le, kind) (rate(edge_hub_report_write_seconds_bucket[5m])))',
  },
  {
    name: 'kind_result:edge_hub_reports:rate5m',
    expr: 'sum by (kind, result) (rate(edge_hub_reports_total[5m]))',
  },
  {
    name: 'job_code:rest_client_requests:rate5m',
    expr: 'sum by (job, code) (rate(rest_client_requests_total{job=~"cloudlet-.*"}[5m]))',
  },
];
