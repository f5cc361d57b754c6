/** Values of the chart cloudlet-agent. */
import { extraArgs, image, logLevel, pullSecrets, resources, scheduling } from './common-values.ts';
import { choice, count, flag, map, object, objects, section, text, texts } from './values.ts';

export const agentValues = section('Values of the chart cloudlet-agent.', {
  image: image('cloudlet-agent'),
  imagePullSecrets: pullSecrets,
  join: section("What 'kubectl cloudlet join NAME' printed, in a Secret of this namespace.", {
    secretName: text(
      'Name of the Secret. It may be deleted once the Cloudlet is Ready; the agent then knows its region.',
    ),
    key: text('Key in it.', 'join'),
  }),
  driver: choice('What the site runs instances on.', ['docker-swarm', 'fake']),
  docker: section('The engine, for the driver docker-swarm: a manager of the swarm.', {
    socket: text("The engine's socket on the node.", '/var/run/docker.sock'),
    groupId: count(
      'Group of that socket, as `stat -c %g` tells it on the node.',
      998,
      0,
      4_294_967_294,
    ),
    loadBalancerImage: text(
      'Image of HAProxy for the load balancer; none for no load balancer.',
      'haproxy:3.2',
    ),
  }),
  member: text('Name of this member. Default: the name of its pod.'),
  addresses: texts('Where public ports answer. Default: the address of this manager in the swarm.'),
  proxy: section('The way to the region.', {
    https: text('HTTPS_PROXY of the agent.'),
    none: text('NO_PROXY of the agent.'),
  }),
  logLevel,
  extraArgs,
  state: section('Key, certificate and desired state.', {
    size: text('Size of the volume.', '256Mi'),
    storageClassName: text('Storage class. Default: that of the cluster.'),
    keep: flag('Whether the volume stays when the chart is uninstalled.', true),
  }),
  resources: resources('20m', '96Mi', '256Mi'),
  podMonitor: section('A PodMonitor of the Prometheus operator.', {
    enabled: flag('Whether it is made; needs its CRD.'),
    interval: text('How often metrics are read.', '60s'),
    labels: map('Labels by which your Prometheus selects it.'),
  }),
  networkPolicy: section('Who may talk to the pod: nobody but who reads metrics.', {
    enabled: flag('Whether a NetworkPolicy is made.', true),
    metricsFrom: object('Namespaces that may read metrics, as a label selector. Default: all.'),
  }),
  ...scheduling,
  extraObjects: objects('More objects of yours, as templates.'),
});
