/**
 * The operator process: the controllers of all kinds, one leader at a time, standbys with warm caches. This
 * module wires and starts; it decides nothing.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { namespaces } from '@cloudlet/crds';
import {
  createLogger,
  type FlagValues,
  helpOf,
  levels,
  parseFlags,
  systemClock,
} from '@cloudlet/runtime/base';
import {
  cachesSynced,
  createClient,
  createEventRecorder,
  createLeaderElection,
  CurrentCaches,
  fencedClient,
  runManager,
  startHealthServer,
  watchProgress,
} from '@cloudlet/runtime/kubernetes';
import { Registry } from 'prom-client';
import { ChangeTracing } from './controllers/appinst/tracing.ts';
import { createRegionIdentity } from './controllers/identity/reconcile.ts';
import { createControllers } from './controllers/wiring.ts';
import { parseEndpoint } from './hub/endpoint.ts';
import { operatorLease } from './names.ts';
import { createOperatorMetrics } from './operator-metrics.ts';
import { createRegion } from './region.ts';
import { recorderWith } from './telemetry/events.ts';
import { openTelemetry, otlpFlag, servicesOf } from './telemetry/telemetry.ts';

export const operatorFlags = {
  kubeconfig: {
    type: 'string',
    description: "Kubeconfig file. Default: the environment's, then the pod's service account.",
  },
  'hub-address': {
    type: 'string',
    required: true,
    description: 'host:port under which agents reach the hub; part of every join.',
  },
  'enroll-address': {
    type: 'string',
    required: true,
    description: 'host:port under which agents enrol.',
  },
  'hub-host': {
    type: 'list',
    description:
      "More names and addresses for the hub's certificate, beside those of the flags above.",
  },
  'access-host': {
    type: 'list',
    description: "More names and addresses for the access server's certificate.",
  },
  authority: {
    type: 'string',
    default: 'own',
    oneOf: ['own', 'given'],
    description:
      "own: makes the region's authority where there is none; given: waits for the Secret cloudlet-authority/cloudlet-ca (tls.crt, tls.key) of another's making, such as cert-manager.",
  },
  'health-listen': {
    type: 'string',
    default: ':8080',
    description: 'host:port for probes and metrics.',
  },
  workers: { type: 'number', default: 16, description: 'Reconciles of AppInsts at once.' },
  connections: { type: 'number', default: 24, description: 'Calls to the API server at once.' },
  ...otlpFlag,
  'log-level': {
    type: 'string',
    default: 'info',
    oneOf: levels,
    description: 'Least level that is logged.',
  },
} as const;

type OperatorFlags = FlagValues<typeof operatorFlags>;

/**
 * Runs until `signal` aborts and what was under way has ended.
 * @throws TerminalError for wrong flags, or when leadership is lost; the first failure of a part.
 */
export async function runOperator(argv: readonly string[], signal: AbortSignal): Promise<void> {
  if (argv.includes('--help')) {
    const summary = 'The operator: places instances, issues identities, sums up.';
    process.stdout.write(helpOf('cloudlet operator [flags]', summary, operatorFlags));
    return;
  }
  const { flags } = parseFlags(operatorFlags, argv);
  const clock = systemClock;
  const registry = new Registry();
  const logger = createLogger({ level: flags['log-level'] }).with({ process: 'operator' });
  const client = createClient({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    logger,
    clock,
    metrics: registry,
    userAgent: 'cloudlet-operator',
    connections: flags.connections,
  });
  const metrics = createOperatorMetrics(registry);
  const name = hostname();
  const election = createLeaderElection({
    client,
    namespace: namespaces.system,
    name: operatorLease,
    identity: `${name}_${randomUUID()}`,
    clock,
    logger,
    metrics: registry,
  });
  const region = createRegion({
    client: fencedClient(client, () => election.assertLeading()),
    clock,
    logger,
    onLedgerWrite: metrics.ledgerWrite,
  });
  metrics.observe(region);
  const identity = createRegionIdentity({
    secrets: region.clients.secrets,
    clock,
    hosts: hostsOf(flags),
    authority: flags.authority === 'given' ? 'given' : 'own',
  });
  const endpoint = flags['otlp-endpoint'];
  const telemetry = await openTelemetry({
    ...{ endpoint, service: 'cloudlet-operator', instance: name, clock, logger, registry },
  });
  const controller = 'edge.cloudlet.dev/operator';
  const recorder = createEventRecorder({ client, controller, instance: name, clock, logger });
  const events = recorderWith(recorder, telemetry, clock);
  const controllers = createControllers({
    region,
    identity,
    events,
    addresses: { hub: flags['hub-address'], enroll: flags['enroll-address'] },
    workers: flags.workers,
    clock,
    metrics: registry,
    caches: new CurrentCaches({ clock, logger, informers: region.allInformers }),
    tracing: telemetry && new ChangeTracing(telemetry, clock),
  });
  const health = await startHealthServer({
    ...parseEndpoint('health-listen', flags['health-listen']),
    live: { informers: watchProgress(region.allInformers, clock) },
    ready: { caches: cachesSynced(region.allInformers) },
    registry,
    logger,
  });
  await runManager(
    {
      clock,
      logger,
      informers: region.allInformers,
      controllers,
      services: servicesOf(telemetry),
      election,
      close: [() => events.flush(), () => health.close(), () => client.close()],
    },
    signal,
  );
}

function hostsOf(flags: OperatorFlags) {
  const service = (name: string): readonly string[] => [
    `${name}.${namespaces.system}.svc`,
    `${name}.${namespaces.system}.svc.cluster.local`,
  ];
  const addresses = [flags['hub-address'], flags['enroll-address']].map((address) =>
    address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, ''),
  );
  return {
    hub: [...service('cloudlet-hub'), ...addresses, ...flags['hub-host']],
    access: [...service('cloudlet-access'), ...flags['access-host']],
  };
}
