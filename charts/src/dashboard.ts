/** The Grafana dashboard of a region, of metrics that the processes register. */
interface Panel {
  readonly title: string;
  readonly unit: string;
  /** Expression and legend. */
  readonly queries: readonly (readonly [expr: string, legend: string])[];
}

const rate = (metric: string, by: string): string => `sum by (${by}) (rate(${metric}[5m]))`;
const p99 = (metric: string, by: string): string =>
  `histogram_quantile(0.99, sum by (le, ${by}) (rate(${metric}_bucket[5m])))`;

const rows: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: 'Sites and instances',
    panels: [
      {
        title: 'Sites by Ready',
        unit: 'short',
        queries: [['max by (ready) (edge_cloudlets)', '{{ready}}']],
      },
      {
        title: 'Instances by Ready',
        unit: 'short',
        queries: [['max by (ready) (edge_appinsts)', '{{ready}}']],
      },
      {
        title: 'Sites with an acting member, by hub',
        unit: 'short',
        queries: [['edge_hub_sites', '{{pod}}']],
      },
      {
        title: 'Members connected, by hub',
        unit: 'short',
        queries: [['edge_hub_links', '{{pod}}']],
      },
    ],
  },
  {
    title: 'Operator',
    panels: [
      {
        title: 'Reconciles by result',
        unit: 'ops',
        queries: [
          [
            rate('controller_runtime_reconcile_total', 'controller, result'),
            '{{controller}} {{result}}',
          ],
        ],
      },
      {
        title: 'Time of a reconcile, 99%',
        unit: 's',
        queries: [
          [p99('controller_runtime_reconcile_time_seconds', 'controller'), '{{controller}}'],
        ],
      },
      {
        title: 'Wait in the queue, 99%',
        unit: 's',
        queries: [[p99('workqueue_queue_duration_seconds', 'controller'), '{{controller}}']],
      },
      {
        title: 'Ledgers: writes, and changes in them',
        unit: 'ops',
        queries: [
          ['sum(rate(edge_ledger_writes_total[5m]))', 'writes'],
          ['sum(rate(edge_ledger_changes_total[5m]))', 'changes'],
        ],
      },
    ],
  },
  {
    title: 'Hub',
    panels: [
      {
        title: 'Reports by result',
        unit: 'ops',
        queries: [[rate('edge_hub_reports_total', 'result'), '{{result}}']],
      },
      {
        title: 'Time of a status write, 99%',
        unit: 's',
        queries: [[p99('edge_hub_report_write_seconds', 'kind'), '{{kind}}']],
      },
      {
        title: 'Orders sent',
        unit: 'ops',
        queries: [[rate('edge_hub_orders_total', 'kind'), '{{kind}}']],
      },
      {
        title: 'Handshakes by outcome',
        unit: 'ops',
        queries: [[rate('edge_tunnel_handshakes_total', 'outcome'), '{{outcome}}']],
      },
    ],
  },
  {
    title: 'Access and API server',
    panels: [
      {
        title: 'Sessions under way',
        unit: 'short',
        queries: [['sum by (kind) (edge_access_sessions)', '{{kind}}']],
      },
      {
        title: 'Time to open a session, 99%',
        unit: 's',
        queries: [[p99('edge_access_session_open_seconds', 'kind'), '{{kind}}']],
      },
      {
        title: 'Requests to the API server by code',
        unit: 'reqps',
        queries: [[rate('rest_client_requests_total', 'job, code'), '{{job}} {{code}}']],
      },
      {
        title: 'Memory of containers',
        unit: 'bytes',
        queries: [
          [
            'container_memory_working_set_bytes{namespace="cloudlet-system",container!=""}',
            '{{pod}}',
          ],
        ],
      },
    ],
  },
];

const source = { type: 'prometheus', uid: '${datasource}' };

export function dashboardJson(): string {
  const panels = rows.flatMap((row, index) => [
    {
      id: 100 + index,
      type: 'row',
      title: row.title,
      gridPos: { x: 0, y: index * 9, w: 24, h: 1 },
    },
    ...row.panels.map((panel, column) => panelOf(panel, index, column)),
  ]);
  const dashboard = {
    uid: 'cloudlet-region',
    title: 'Cloudlet region',
    tags: ['cloudlet'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: {
      list: [{ name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus' }],
    },
    panels,
  };
  return JSON.stringify(dashboard, undefined, 2) + '\n';
}

function panelOf({ title, unit, queries }: Panel, row: number, column: number): object {
  return {
    id: 1 + row * 4 + column,
    type: 'timeseries',
    title,
    datasource: source,
    gridPos: { x: column * 6, y: row * 9 + 1, w: 6, h: 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([expr, legendFormat], index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: source,
      ...{ expr, legendFormat },
    })),
  };
}

/** Every expression of it. */
export const dashboardQueries: readonly string[] = rows.flatMap(({ panels }) =>
  panels.flatMap(({ queries }) => queries.map(([expr]) => expr)),
);
