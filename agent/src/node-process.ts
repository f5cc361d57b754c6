/**
 * `cloudlet-agent node`: the helper of a node, as a service of the swarm runs it.
 *
 * Guarantees: key and certificates come from files that the swarm puts there; on SIGTERM sessions may end,
 * so long as the swarm waits; it ends by itself when the engine's socket is gone, for a new container gets
 * the new one. Loads nothing of the agent and no driver.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  helperDrainMs,
  type HelperTls,
  type NodeHelper,
  serveNodeHelper,
} from '@cloudlet/drivers/docker-swarm/helper';
import {
  createLogger,
  describeError,
  type FlagTable,
  helpOf,
  levels,
  type Logger,
  parseFlags,
  retry,
  systemClock,
  TerminalError,
} from '@cloudlet/runtime/base';
import { agentVersion } from './version.ts';

const nodeFlags = {
  'docker-socket': {
    type: 'string',
    description: "The engine's socket.",
    default: '/var/run/docker.sock',
  },
  port: { type: 'number', description: 'Where agents reach it.', default: 20800 },
  'tls-file': { type: 'string', description: 'Key and certificate, PEM.', required: true },
  authorities: {
    type: 'string',
    description: "Folder of the site's authorities, PEM.",
    required: true,
  },
  'log-level': {
    type: 'string',
    description: 'The least that is logged.',
    default: 'info',
    oneOf: levels,
  },
  help: { type: 'boolean', description: 'Print this text and exit.' },
} as const satisfies FlagTable;

/** Some ten seconds; then the swarm begins it anew. */
const portTries = { baseMs: 250, maxMs: 1_000, attempts: 12 };

type NodeFlags = ReturnType<typeof parseFlags<typeof nodeFlags>>['flags'];

/** Runs the helper to its end. @returns the exit code: 0 after SIGTERM or SIGINT, 2 for wrong flags. */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    const summary = "Lets a site's agents reach what a swarm does not carry of this node.";
    process.stdout.write(helpOf('cloudlet-agent node [flags]', summary, nodeFlags));
    return 0;
  }
  let flags: NodeFlags;
  try {
    flags = parseFlags(nodeFlags, argv).flags;
  } catch (error) {
    process.stderr.write(`cloudlet-agent node: ${describeError(error)}; see --help\n`);
    return 2;
  }
  const logger = createLogger({ level: flags['log-level'] });
  try {
    await runHelper(flags, logger);
    return 0;
  } catch (error) {
    logger.error('the helper ends', { error });
    return 1;
  }
}

async function runHelper(flags: NodeFlags, logger: Logger): Promise<void> {
  const stopped = Promise.withResolvers<string>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stopped.resolve);
  const tls = await readTls(flags);
  const serve = (): Promise<NodeHelper> =>
    serveNodeHelper({
      socketPath: flags['docker-socket'],
      port: flags.port,
      tls,
      logger,
      onEngineLost: () =>
        stopped.reject(new TerminalError('NoEngine', "the engine's socket is gone")),
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') throw error;
      throw new TerminalError('NotServing', describeError(error), { cause: error });
    });
  // The one before lets go of the port in the moment in which it is told to end.
  const helper = await retry(serve, { clock: systemClock, ...portTries });
  logger.info('the helper serves', { version: agentVersion, port: helper.port });
  try {
    const signal = await stopped.promise;
    logger.info('stopping', { signal });
    await helper.drain(systemClock, helperDrainMs);
  } finally {
    await helper.close();
  }
}

async function readTls(flags: NodeFlags): Promise<HelperTls> {
  const folder = flags.authorities;
  const names = (await readdir(folder)).filter((name) => name.endsWith('.pem')).sort();
  const read = (path: string): Promise<string> => readFile(path, 'utf8');
  const pem = await read(flags['tls-file']);
  const authorities = await Promise.all(names.map((name) => read(join(folder, name))));
  return { key: pem, cert: pem, ca: authorities.join('\n') };
}
