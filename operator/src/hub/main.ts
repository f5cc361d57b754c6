/**
 * The hub process: the region's end of the tunnels of all sites. Any number of replicas run at once; they
 * share nothing but the API server. This module wires and starts; it decides nothing.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import {
  createLogger,
  type FlagValues,
  helpOf,
  levels,
  type Logger,
  parseFlags,
  systemClock,
} from '@cloudlet/runtime/base';
import {
  cachesSynced,
  createClient,
  type KubernetesClient,
  runManager,
  type Service,
  startHealthServer,
  watchProgress,
} from '@cloudlet/runtime/kubernetes';
import { createTunnelServer, type TunnelServer } from '@cloudlet/tunnel';
import { Registry } from 'prom-client';
import { servingSecrets } from '../names.ts';
import { openTelemetry, otlpFlag, servicesOf } from '../telemetry/telemetry.ts';
import { RegionBackend } from './backend.ts';
import { formatEndpoint, parseEndpoint } from './endpoint.ts';
import { Enrolment } from './enrolment.ts';
import { HubLease } from './hub-lease.ts';
import { createHubMetrics, tunnelMetrics } from './metrics.ts';
import { createRegion, type Region } from './region.ts';
import { Reports } from './reports.ts';
import { SessionDialer } from './session-dial.ts';
import { SessionListener } from './session-listener.ts';
import { routeTo } from './session-router.ts';
import { SiteLeases } from './site-leases.ts';
import { TlsSource } from './tls-source.ts';
import { HubTracing } from './tracing.ts';

export const hubFlags = {
  kubeconfig: {
    type: 'string',
    description: "Kubeconfig file. Default: the environment's, then the pod's service account.",
  },
  name: { type: 'string', description: 'Name of this replica. Default: the host name.' },
  listen: {
    type: 'string',
    default: ':8443',
    description: 'host:port for agents that hold a certificate.',
  },
  'enroll-listen': {
    type: 'string',
    default: ':8444',
    description: 'host:port for agents that need a certificate; the host is that of --listen.',
  },
  'session-listen': {
    type: 'string',
    default: ':8445',
    description: 'host:port for sessions from the access server and other hubs.',
  },
  'session-address': {
    type: 'string',
    description: 'host:port that these reach it by. Default: the host name and the port.',
  },
  'health-listen': {
    type: 'string',
    default: ':8080',
    description: 'host:port for probes and metrics.',
  },
  'status-writes': {
    type: 'number',
    default: 16,
    description: 'Status writes of this replica at once.',
  },
  'drain-seconds': {
    type: 'number',
    default: 20,
    description:
      'When this replica ends: time in which agents redial another, and sessions through it come to their end.',
  },
  ...otlpFlag,
  'log-level': {
    type: 'string',
    default: 'info',
    oneOf: levels,
    description: 'Least level that is logged.',
  },
} as const;

type HubFlags = FlagValues<typeof hubFlags>;

const secondMs = 1_000;

/**
 * Runs until `signal` aborts and what was under way has ended.
 * @throws TerminalError for wrong flags; the first failure of a part.
 */
export async function runHub(argv: readonly string[], signal: AbortSignal): Promise<void> {
  if (argv.includes('--help')) {
    process.stdout.write(helpOf('cloudlet hub [flags]', 'The hub of all tunnels.', hubFlags));
    return;
  }
  const { flags } = parseFlags(hubFlags, argv);
  const hubName = flags.name ?? hostname();
  const logger = createLogger({ level: flags['log-level'] }).with({ process: 'hub', hub: hubName });
  const registry = new Registry();
  const clock = systemClock;
  const client = createClient({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    logger,
    clock,
    metrics: registry,
    userAgent: 'cloudlet-hub',
    connections: Math.max(10, flags['status-writes'] + 4),
  });
  const region = createRegion(client, logger);
  const serving = { tunnels: false };
  const health = await startHealthServer({
    ...parseEndpoint('health-listen', flags['health-listen']),
    live: { informers: watchProgress(region.informers, clock) },
    ready: {
      caches: cachesSynced(region.informers),
      tunnels: () => (serving.tunnels ? undefined : 'not open'),
    },
    registry,
    logger,
  });
  const parts = { flags, hubName, logger, registry, client, region, serving };
  try {
    const services = await createServices(parts, signal);
    await runManager(
      {
        clock,
        logger,
        informers: region.informers,
        services,
        graceMs: (flags['drain-seconds'] + 15) * secondMs,
        close: [() => client.close()],
      },
      signal,
    );
  } finally {
    await health.close();
  }
}

interface Parts {
  readonly flags: HubFlags;
  readonly hubName: string;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly client: KubernetesClient;
  readonly region: Region;
  /** What the readiness probe tells; a hub that drains is not ready, so that agents come to another. */
  readonly serving: { tunnels: boolean };
}

async function createServices(parts: Parts, signal: AbortSignal): Promise<readonly Service[]> {
  const { flags, hubName, logger, registry, client, region } = parts;
  const clock = systemClock;
  const metrics = createHubMetrics(registry);
  const secretName = servingSecrets.hub;
  const tls = await TlsSource.open({ client, secretName, clock, logger }, signal);
  const leases = new SiteLeases({ client, leases: region.leases, clock, metrics });
  const caPem = (): string => tls.current.ca;
  const enrolment = new Enrolment({ client, region, leases, clock, logger, metrics, caPem });
  const reports = new Reports({ client, metrics, clock, logger, parallel: flags['status-writes'] });
  const endpoint = flags['otlp-endpoint'];
  const telemetry = await openTelemetry({
    ...{ endpoint, service: 'cloudlet-hub', instance: hubName, clock, logger, registry },
  });
  const backend = new RegionBackend({
    ...{ hubName, region, leases, enrolment, reports, metrics, clock, logger },
    tracing: telemetry && new HubTracing(telemetry, clock),
  });
  const dialer = new SessionDialer({ tls: () => tls.current, clock });
  const draining = new AbortController();
  const drained = new AbortController();
  const listener = new SessionListener({
    ...{ hubName, dialer, metrics, clock, logger },
    draining: draining.signal,
    tls: () => tls.current,
    linkOf: (cloudlet) => backend.linkOf(cloudlet),
    route: (cloudlet) => routeTo(cloudlet, (key) => region.leases.get(key), clock.now()),
  });
  const server = createTunnelServer({
    ...{ backend, hubName, clock, logger },
    tls: tls.current,
    metrics: tunnelMetrics(registry),
  });
  tls.onChange((next) => {
    server.setTls(next);
    listener.setTls(next);
  });
  return [
    { name: 'certificate', run: (stop) => tls.run(stop) },
    ...servicesOf(telemetry),
    sessions(parts, { listener, dialer, until: drained.signal }),
    tunnels(parts, { server, backend, draining, drained }),
  ];
}

interface Tunnels {
  readonly server: TunnelServer;
  readonly backend: RegionBackend;
  /** Aborted when the drain begins. */
  readonly draining: AbortController;
  /** Aborted when every tunnel has ended. */
  readonly drained: AbortController;
}

/** Listens until the end, then asks every agent to redial another replica. */
function tunnels(parts: Parts, { server, backend, draining, drained }: Tunnels): Service {
  const { flags, logger, serving } = parts;
  return {
    name: 'tunnels',
    async run(stop) {
      try {
        await server.listen({
          ...parseEndpoint('listen', flags.listen),
          enrollPort: parseEndpoint('enroll-listen', flags['enroll-listen']).port,
        });
        serving.tunnels = true;
        logger.info('serves tunnels', { listen: flags.listen, enroll: flags['enroll-listen'] });
        await aborted(stop);
        serving.tunnels = false;
        draining.abort();
        const drainMs = flags['drain-seconds'] * secondMs;
        backend.stop();
        const isOver = new AbortController();
        const late = systemClock.sleep(drainMs + 2 * secondMs, isOver.signal);
        await Promise.race([server.drain(drainMs), late]);
        isOver.abort(); // its timer would keep a hub that nobody needs any more
        await server.close();
      } finally {
        drained.abort();
      }
    },
  };
}

interface Sessions {
  readonly listener: SessionListener;
  readonly dialer: SessionDialer;
  /** Sessions go through this replica until then. */
  readonly until: AbortSignal;
}

/** The internal listener, and the Lease that tells its address: they outlive the tunnels. */
function sessions(parts: Parts, { listener, dialer, until }: Sessions): Service {
  const { flags, hubName, client, logger } = parts;
  return {
    name: 'sessions',
    async run() {
      const { host, port } = parseEndpoint('session-listen', flags['session-listen']);
      const bound = await listener.listen(port, host);
      const address =
        flags['session-address'] ?? formatEndpoint({ host: hostname(), port: bound.port });
      const boot = randomUUID();
      const lease = new HubLease({ client, hubName, address, boot, clock: systemClock, logger });
      await lease.run(until);
      await listener.close();
      dialer.close();
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
}
