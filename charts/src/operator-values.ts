/** Values of the chart cloudlet-operator. */
import {
  extraArgs,
  image,
  logLevel,
  pullSecrets,
  replicas,
  resources,
  scheduling,
} from './common-values.ts';
import { choice, count, flag, map, object, objects, section, text, texts } from './values.ts';

const port = (description: string, value: number) => count(description, value, 1, 65_535);

const hub = section('The hub, which all agents dial.', {
  host: text(
    'Name or address under which agents reach the hub, part of every join. Default: the Service within the cluster, which only sites in this cluster reach.',
  ),
  port: port('Port of it.', 443),
  names: texts("More names and addresses for the hub's certificate."),
  replicas: replicas(2),
  drainSeconds: count(
    'Time in which agents redial another replica when one ends: many are spread over its first half, few over five seconds. Who has not yet found one stays linked for the rest, so that a machine that is busy with the upgrade cuts nobody off.',
    60,
    0,
    600,
  ),
  statusWrites: count('Status writes of a replica at once.', 16, 1, 1_000),
  service: section('The Service that agents reach.', {
    type: choice('Its type; ClusterIP where a Gateway leads to it.', [
      'LoadBalancer',
      'NodePort',
      'ClusterIP',
    ]),
    annotations: map('Annotations, for the provider of load balancers.'),
    loadBalancerClass: text('Class of the load balancer.'),
    loadBalancerSourceRanges: texts('Networks that may reach the load balancer. Default: all.'),
    externalTrafficPolicy: choice('Local keeps the addresses of agents in the log.', [
      'Local',
      'Cluster',
    ]),
    nodePort: count('Port of every node for agents; 0 for any.', 0, 0, 65_535),
    enrollNodePort: count('Port of every node for enrolment; 0 for any.', 0, 0, 65_535),
  }),
  resources: resources('100m', '128Mi', '512Mi'),
  extraArgs,
});

const operator = section('The operator: places instances, issues identities, sums up.', {
  replicas: replicas(2),
  workers: count('Reconciles of AppInsts at once.', 16, 1, 1_000),
  resources: resources('100m', '128Mi', '512Mi'),
  extraArgs,
});

const access = section('The aggregated API of exec, logs and shells.', {
  enabled: flag('Whether it is served.', true),
  replicas: replicas(2),
  resources: resources('50m', '96Mi', '256Mi'),
  extraArgs,
});

const monitoring = section('For Prometheus and Grafana.', {
  serviceMonitor: section('A ServiceMonitor of the Prometheus operator.', {
    enabled: flag('Whether it is made; needs its CRD.'),
    interval: text('How often metrics are read.', '30s'),
    labels: map('Labels by which your Prometheus selects it.'),
  }),
  prometheusRule: section('Alerts, as a PrometheusRule.', {
    enabled: flag('Whether they are made; needs its CRD.'),
    labels: map('Labels by which your Prometheus selects it.'),
    runbooks: text('What the runbook links begin with.', 'docs/runbooks.md'),
  }),
  dashboard: section("A Grafana dashboard, as a ConfigMap for Grafana's sidecar.", {
    enabled: flag('Whether it is made.'),
    labels: map('Labels by which the sidecar selects it.', { grafana_dashboard: '1' }),
  }),
});

export const operatorValues = section('Values of the chart cloudlet-operator.', {
  crds: section('The kinds.', {
    enabled: flag('Whether the chart installs and upgrades them.', true),
    keep: flag(
      'Whether they, the namespaces and so every site and instance stay when the chart is uninstalled. Without it an uninstall deletes them all.',
      true,
    ),
  }),
  image: image('cloudlet-operator'),
  imagePullSecrets: pullSecrets,
  hub,
  enroll: section('The listener where agents get their certificates.', {
    host: text('Name or address under which agents reach it. Default: hub.host.'),
    port: port('Port of it.', 8444),
  }),
  operator,
  access,
  logLevel,
  roles: section('ClusterRoles for people.', {
    enabled: flag('Whether they are made.', true),
  }),
  constrainedImpersonation: section('The right of the hub to write reports as a site.', {
    enabled: flag(
      'Whether it is bound to patching a status, which Kubernetes knows from 1.36 on; earlier ones would refuse every report.',
    ),
  }),
  flowControl: section('Shares of the API server, so that sites cannot crowd out people.', {
    enabled: flag('Whether they are made.', true),
  }),
  gateway: section('A Gateway that passes TLS through to the hub, in place of a load balancer.', {
    enabled: flag('Whether TLSRoutes are made; needs the CRDs of the Gateway API.'),
    apiVersion: text(
      'Version of TLSRoute that your Gateway API serves.',
      'gateway.networking.k8s.io/v1alpha2',
    ),
    parentRefs: objects('Listeners for hub.host, as in a TLSRoute.'),
    enrollParentRefs: objects('Listeners for enroll.host. Default: parentRefs.'),
  }),
  certManager: section("cert-manager as the maker of the region's authority.", {
    enabled: flag(
      'Whether cert-manager makes and renews the authority; the operator then makes none. For a new region only: sites trust one authority.',
    ),
    duration: text('Life of its certificate; the key stays.', '87600h'),
    renewBefore: text('When it is renewed.', '8760h'),
  }),
  monitoring,
  networkPolicy: section('Who may talk to the pods.', {
    enabled: flag('Whether NetworkPolicies are made.', true),
    metricsFrom: object('Namespaces that may read metrics, as a label selector. Default: all.'),
    apiServerPorts: objects('Ports that the pods may reach, the API server above all.', [
      { port: 443, protocol: 'TCP' },
      { port: 6443, protocol: 'TCP' },
    ]),
  }),
  podDisruptionBudget: section('How many pods of a process a drain may take at once.', {
    enabled: flag('Whether budgets are made.', true),
  }),
  ...scheduling,
  extraObjects: objects('More objects of yours, as templates.'),
});
