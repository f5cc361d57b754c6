/** The access process: the aggregated API server of sessions. This module wires and starts; it decides nothing. */
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
  createClient,
  type KubernetesClient,
  runManager,
  type Service,
  startHealthServer,
} from '@cloudlet/runtime/kubernetes';
import { Registry } from 'prom-client';
import { parseEndpoint } from '../hub/endpoint.ts';
import { SessionDialer } from '../hub/session-dial.ts';
import { TlsSource } from '../hub/tls-source.ts';
import { servingSecrets } from '../names.ts';
import { openTelemetry, otlpFlag, servicesOf } from '../telemetry/telemetry.ts';
import { publishAuthority } from './api-service.ts';
import { FrontProxy } from './front-proxy.ts';
import { createAccessMetrics } from './metrics.ts';
import { Quota } from './quota.ts';
import { AccessServer } from './server.ts';
import { Sites } from './sites.ts';

export const accessFlags = {
  kubeconfig: {
    type: 'string',
    description: "Kubeconfig file. Default: the environment's, then the pod's service account.",
  },
  listen: {
    type: 'string',
    default: ':8446',
    description: 'host:port for the API server of the region.',
  },
  'health-listen': {
    type: 'string',
    default: ':8081',
    description: 'host:port for probes and metrics.',
  },
  'open-seconds': {
    type: 'number',
    default: 30,
    description: 'Time for a site to open a session.',
  },
  'idle-seconds': {
    type: 'number',
    default: 300,
    description: 'A session without data for so long ends.',
  },
  'max-seconds': { type: 'number', default: 14_400, description: 'Longest session.' },
  'sessions-per-user': {
    type: 'number',
    default: 16,
    description: 'Sessions that one user may have at once.',
  },
  'max-sessions': { type: 'number', default: 512, description: 'Sessions of all users at once.' },
  'drain-seconds': {
    type: 'number',
    default: 20,
    description: 'When this replica ends: time in which its sessions come to their end.',
  },
  ...otlpFlag,
  'log-level': {
    type: 'string',
    default: 'info',
    oneOf: levels,
    description: 'Least level that is logged.',
  },
} as const;

type AccessFlags = FlagValues<typeof accessFlags>;

const secondMs = 1_000;
const pingMs = 15_000;

/**
 * Runs until `signal` aborts and what was under way has ended.
 * @throws TerminalError for wrong flags; the first failure of a part.
 */
export async function runAccess(argv: readonly string[], signal: AbortSignal): Promise<void> {
  if (argv.includes('--help')) {
    const summary = 'The aggregated API of shells, logs and ports.';
    process.stdout.write(helpOf('cloudlet access [flags]', summary, accessFlags));
    return;
  }
  const { flags } = parseFlags(accessFlags, argv);
  const logger = createLogger({ level: flags['log-level'] }).with({ process: 'access' });
  const registry = new Registry();
  const clock = systemClock;
  const client = createClient({
    ...(flags.kubeconfig === undefined ? {} : { kubeconfig: flags.kubeconfig }),
    logger,
    clock,
    metrics: registry,
    userAgent: 'cloudlet-access',
  });
  const serving = { access: false };
  const health = await startHealthServer({
    ...parseEndpoint('health-listen', flags['health-listen']),
    ready: { serving: () => (serving.access ? undefined : 'not open') },
    registry,
    logger,
  });
  try {
    const services = await createServices({ flags, logger, registry, client, serving }, signal);
    const graceMs = (flags['drain-seconds'] + 10) * secondMs;
    await runManager(
      { clock, logger, informers: [], services, graceMs, close: [() => client.close()] },
      signal,
    );
  } finally {
    await health.close();
  }
}

interface Parts {
  readonly flags: AccessFlags;
  readonly logger: Logger;
  readonly registry: Registry;
  readonly client: KubernetesClient;
  /** What the readiness probe tells; one that drains is not ready, so that callers go to another. */
  readonly serving: { access: boolean };
}

async function createServices(
  { flags, logger, registry, client, serving }: Parts,
  signal: AbortSignal,
): Promise<readonly Service[]> {
  const clock = systemClock;
  const secretName = servingSecrets.access;
  const tls = await TlsSource.open({ client, secretName, clock, logger }, signal);
  const frontProxy = await FrontProxy.open({ client, clock, logger }, signal);
  const dialer = new SessionDialer({ tls: () => tls.current, clock });
  const openMs = flags['open-seconds'] * secondMs;
  const endpoint = flags['otlp-endpoint'];
  const telemetry = await openTelemetry({
    ...{ endpoint, service: 'cloudlet-access', instance: hostname(), clock, logger, registry },
  });
  const server = new AccessServer({
    tls: tls.current,
    trust: frontProxy.current,
    sites: new Sites({ client, dialer, clock, logger, openMs }),
    quota: new Quota({ perUser: flags['sessions-per-user'], total: flags['max-sessions'] }),
    times: {
      idleMs: flags['idle-seconds'] * secondMs,
      maxMs: flags['max-seconds'] * secondMs,
      pingMs,
    },
    metrics: createAccessMetrics(registry),
    clock,
    logger,
    telemetry,
  });
  frontProxy.onChange((trust) => server.setTrust(trust));
  return [
    { name: 'certificate', run: (stop) => tls.run(stop) },
    { name: 'front proxy', run: (stop) => frontProxy.run(stop) },
    ...servicesOf(telemetry),
    {
      name: 'access',
      async run(stop) {
        const { host, port } = parseEndpoint('listen', flags.listen);
        await server.listen(port, host);
        const publish = (ca: string): Promise<void> =>
          publishAuthority({ client, clock, logger }, ca, stop);
        tls.onChange((next) => {
          server.setTls(next);
          publish(next.ca).catch((error: unknown) => logger.warn('not published', { error }));
        });
        serving.access = true;
        logger.info('serves the access API', { listen: flags.listen });
        await publish(tls.current.ca).catch((error: unknown) => {
          if (!stop.aborted) throw error;
        });
        await aborted(stop);
        serving.access = false;
        await server.drain(flags['drain-seconds'] * secondMs);
        await server.close();
        dialer.close();
      },
    },
  ];
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener('abort', () => resolve(), { once: true }),
  );
}
