/**
 * The agent's process: flags, start, orderly end.
 *
 * Start: lock and open the state folder, take the join, load the driver, run agent, tunnel and health server
 * side by side. The site is reconciled from disk from the first moment, whether the region answers or not. From
 * a state folder that cannot be written it starts too, once it has joined, and says so in its report.
 * End, on SIGTERM or SIGINT: calls under way are aborted, what is to be on disk is waited for, exit 0; a
 * second signal, or 20 s, end it at once.
 */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  createFileIdentityStore,
  createTunnelClient,
  type IdentityStore,
  type Join,
  planFeatures,
  type ProxyOptions,
  type TunnelClient,
} from '@cloudlet/tunnel/agent';
import {
  createLogger,
  describeError,
  type Logger,
  parseFlags,
  systemClock,
  TerminalError,
} from '@cloudlet/runtime/base';
import { Agent } from './agent.ts';
import { serveHealth } from './health.ts';
import { JoinStore, readJoin } from './joined.ts';
import { loadDriver } from './load-driver.ts';
import { createAgentMetrics } from './metrics.ts';
import { agentFlags, type AgentFlags, exitCodes, helpText } from './options.ts';
import { createSessions } from './sessions.ts';
import { lockFolder } from './single-start.ts';
import { SiteClock } from './site-clock.ts';
import { isUnwritable, openStore, peekDocument, type Store, systemDisk } from './store/index.ts';
import { agentVersion } from './version.ts';

const shutdownMs = 20_000;

/** Runs the agent to its end. @returns the exit code. */
export async function main(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  let flags: AgentFlags;
  try {
    flags = parseFlags(agentFlags, argv).flags;
  } catch (error) {
    process.stderr.write(`cloudlet-agent: ${describeError(error)}; see --help\n`);
    return exitCodes.usage;
  }
  if (flags.help || flags.version) {
    process.stdout.write(flags.help ? helpText() : `${agentVersion}\n`);
    return exitCodes.ended;
  }
  const logger = createLogger({ level: flags['log-level'] });
  try {
    await runAgent({ flags, proxy: proxyOf(env), logger, signal: stopSignal(logger) });
    return exitCodes.ended;
  } catch (error) {
    logger.error('the agent ends', { error });
    return exitCodeOf(error);
  }
}

export function exitCodeOf(error: unknown): number {
  const reason = error instanceof TerminalError ? error.reason : undefined;
  if (reason === 'InvalidFlags') return exitCodes.usage;
  if (reason === 'NoJoin' || reason === 'OtherCloudlet') return exitCodes.notJoined;
  if (reason === 'NoState' || reason === 'FolderInUse') return exitCodes.noState;
  return exitCodes.failed;
}

/** Aborts on the first signal; the second, and a stop that takes too long, end the process at once. */
function stopSignal(logger: Logger): AbortSignal {
  const controller = new AbortController();
  const stop = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitCodes.failed);
    logger.info('stopping', { signal });
    systemClock.after(shutdownMs, () => {
      logger.error('did not stop in time');
      process.exit(exitCodes.failed);
    });
    controller.abort(new TerminalError('Stopped', `${signal} came`));
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  return controller.signal;
}

export function proxyOf(
  env: Readonly<Record<string, string | undefined>>,
): ProxyOptions | undefined {
  const url = env['HTTPS_PROXY'] || env['https_proxy'];
  return url ? { url, noProxy: env['NO_PROXY'] ?? env['no_proxy'] } : undefined;
}

export interface RunOptions {
  readonly flags: AgentFlags;
  readonly proxy: ProxyOptions | undefined;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** @default by the flags */
  readonly load?: typeof loadDriver;
}

/**
 * Runs the agent until the signal aborts.
 * @throws TerminalError when it cannot start; see exitCodeOf.
 */
export async function runAgent(options: RunOptions): Promise<void> {
  const { flags, logger } = options;
  const folder = flags['state-dir'];
  await using _lock = await claimFolder(folder, logger);
  const joins = await JoinStore.open(folder, logger);
  if (flags['join-file'] !== undefined) await joins.take(await readJoin(flags['join-file']));
  if (!joins.value)
    throw new TerminalError(
      'NoJoin',
      "this machine has not joined a region: hand over what 'kubectl cloudlet join NAME' prints by --join-file",
    );
  const features = [...planFeatures];
  const store = await openStore({ folder, agentVersion, features, logger });
  await runSite({ ...options, store, joins, features }, joins.value);
}

/** What a member that joined has on disk runs the site, also where nothing can be added to it. */
async function claimFolder(folder: string, logger: Logger): Promise<AsyncDisposable> {
  try {
    await probeFolder(folder);
  } catch (cause) {
    const hasJoined = (await peekDocument(join(folder, 'join', 'join'), systemDisk)) !== undefined;
    if (!isUnwritable(cause) || !hasJoined)
      throw new TerminalError('NoState', `cannot write to ${folder}: give another --state-dir`, {
        cause,
      });
    logger.error('cannot write to the state folder: it takes no plan until it can', {
      folder,
      error: describeError(cause),
    });
  }
  return lockFolder(folder);
}

/** @throws the system's error when the folder cannot be written. */
async function probeFolder(folder: string): Promise<void> {
  await systemDisk.makeFolder(folder);
  const probe = join(folder, '.probe');
  await systemDisk.writeSynced(probe, 'x'.repeat(1024)); // an empty file fits a full disk
  await systemDisk.remove(probe);
}

interface Site extends RunOptions {
  readonly store: Store;
  readonly joins: JoinStore;
  readonly features: readonly string[];
}

async function runSite(site: Site, joined: Join): Promise<void> {
  const { flags, logger, signal, store, features, load = loadDriver } = site;
  const clock = new SiteClock(systemClock, store.site.value.lastGoodTime);
  const boot = bootOf(clock.now());
  const driver = await load(flags, clock, logger);
  // The metrics look at what is made below; nobody asks before it runs.
  const metrics = createAgentMetrics({
    version: agentVersion,
    state: () => agent.state,
    connected: () => tunnel.connected,
    sessions: () => sessions.open,
  });
  const sessions = createSessions({ driver, clock, logger, onEnd: metrics.session });
  const agent = new Agent({
    ...{ driver, store, clock, logger, sessions, boot, agentVersion, features },
    onCall: metrics.driverCall,
    probe: () => probeFolder(flags['state-dir']),
  });
  const tunnel = openTunnel({ ...site, clock, boot, agent }, joined);
  agent.attach(tunnel);
  const health =
    flags['health-address'] === 'off'
      ? undefined
      : await serveHealth({
          address: flags['health-address'],
          problems: () => agent.problems(),
          metrics,
        });
  logger.info('the agent runs', {
    version: agentVersion,
    cloudlet: joined.cloudlet,
    driver: driver.platform,
    boot,
    instances: store.desired.records.size,
  });
  try {
    await Promise.all([agent.run(signal), tunnel.run(signal)]);
  } finally {
    await driver.close();
    await store.idle();
    await health?.close();
  }
}

interface TunnelParts extends Site {
  readonly clock: SiteClock;
  readonly boot: string;
  readonly agent: Agent;
}

function openTunnel(parts: TunnelParts, joined: Join): TunnelClient {
  const { flags, proxy, logger, features, clock, boot, agent, joins } = parts;
  return createTunnelClient({
    hub: joined.hub,
    enroll: joined.enroll,
    cloudlet: joined.cloudlet,
    token: joined.token,
    caPin: joined.caPin,
    store: identityStore(join(flags['state-dir'], 'identity'), joins, logger),
    handler: agent,
    member: (flags.member ?? hostname()).slice(0, 63),
    agentVersion,
    boot,
    features,
    clock,
    logger,
    proxy,
    onEnrollReply: (reply) => {
      if (reply.state === 'Waiting')
        logger.warn('waits to be accepted: add the fingerprint to spec.acceptedKeys', {
          cloudlet: joined.cloudlet,
          fingerprint: reply.fingerprint,
        });
    },
  });
}

/** A certificate that cannot be kept serves this life: the key is on disk, and the next one enrols with it. */
function identityStore(folder: string, joins: JoinStore, logger: Logger): IdentityStore {
  const files = createFileIdentityStore(folder);
  let unkept: Parameters<IdentityStore['save']>[0] | undefined;
  return {
    load: async () => ({ ...(await files.load()), ...unkept }),
    save: async (issued) => {
      try {
        await files.save(issued);
        unkept = undefined;
        await joins.dropToken();
      } catch (error) {
        if (!isUnwritable(error)) throw error;
        unkept = issued;
        logger.warn('cannot keep the certificate', { error: describeError(error) });
      }
    },
  };
}

/** New with each start, and later ones sort after earlier ones. */
function bootOf(now: number): string {
  return `${String(Math.round(now)).padStart(14, '0')}-${randomBytes(4).toString('hex')}`;
}
