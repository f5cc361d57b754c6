/**
 * `kubectl cloudlet`: finds the command, checks its flags, runs it and turns errors into one line and an exit
 * code.
 *
 * Guarantees: the exit code is the remote program's for exec and shell, else 0, 1 for what failed and 2 for
 * wrong usage; no stack is shown and no secret printed but by `join`, whose purpose that is; Ctrl-C ends a
 * command in an orderly way.
 */
import {
  type Clock,
  createLogger,
  describeError,
  helpOf,
  parseFlags,
  systemClock,
  TerminalError,
} from '@cloudlet/runtime/base';
import { createClient, openAccess } from '@cloudlet/runtime/kubernetes';
import { commonFlags, splitArguments } from './arguments.ts';
import { type Command, exitCodes, type Flags, type RegionAccess } from './command.ts';
import { auditCommand } from './commands/audit.ts';
import { convertCommand } from './commands/convert.ts';
import { doctorCommand } from './commands/doctor.ts';
import { eventsCommand } from './commands/events.ts';
import { explainCommand } from './commands/explain.ts';
import { getCommand } from './commands/get.ts';
import { joinCommand } from './commands/join.ts';
import { execCommand, logsCommand, shellCommand } from './commands/sessions.ts';
import { supportBundleCommand } from './commands/support-bundle.ts';
import { topCommand } from './commands/top.ts';
import type { Terminal } from './terminal.ts';

const program = 'kubectl cloudlet';

export const commands: readonly Command[] = [
  joinCommand,
  getCommand,
  explainCommand,
  execCommand,
  logsCommand,
  shellCommand,
  doctorCommand,
  eventsCommand,
  auditCommand,
  topCommand,
  supportBundleCommand,
  convertCommand,
];

export interface CliOptions {
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly version: string;
  readonly clock?: Clock;
}

/** @returns the exit code. */
export async function runCli(argv: readonly string[], options: CliOptions): Promise<number> {
  const { terminal } = options;
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const asked = commands.find((command) => command.name === rest[0]);
    terminal.stdout.write(name === 'help' && asked ? commandHelp(asked) : overview());
    return name === undefined ? exitCodes.usage : exitCodes.ok;
  }
  if (name === '--version' || name === 'version') {
    terminal.stdout.write(`${options.version}\n`);
    return exitCodes.ok;
  }
  const command = commands.find((candidate) => candidate.name === name);
  if (!command) {
    terminal.stderr.write(`error: there is no command ${name}; see '${program} --help'\n`);
    return exitCodes.usage;
  }
  try {
    return await runCommand(command, rest, options);
  } catch (error) {
    if (options.signal.aborted) return 130;
    terminal.stderr.write(`error: ${describeError(error)}\n`);
    const isUsage = error instanceof TerminalError && error.reason === 'InvalidFlags';
    if (isUsage) terminal.stderr.write(`see '${program} ${name} --help'\n`);
    return isUsage ? exitCodes.usage : exitCodes.failed;
  }
}

async function runCommand(
  command: Command,
  argv: readonly string[],
  { terminal, signal, version, clock = systemClock }: CliOptions,
): Promise<number> {
  const table = { ...commonFlags, ...command.flags };
  const split = splitArguments(argv, table, command.shorts ?? {});
  if (split.own.includes('--help')) {
    terminal.stdout.write(commandHelp(command));
    return exitCodes.ok;
  }
  const { flags, positionals } = parseFlags(table, split.own);
  let opened: RegionAccess | undefined;
  try {
    return await command.run({
      ...{ flags, positionals, command: split.command, terminal, clock, signal, version },
      region: () => (opened ??= openRegion(flags, terminal, clock, version)),
    });
  } finally {
    await opened?.client.close();
  }
}

function openRegion(flags: Flags, terminal: Terminal, clock: Clock, version: string): RegionAccess {
  const text = (name: string): string | undefined => flags[name] as string | undefined;
  const [kubeconfig, context] = [text('kubeconfig'), text('context')];
  const options = { ...(kubeconfig ? { kubeconfig } : {}), ...(context ? { context } : {}) };
  const access = openAccess(options, clock);
  const logger = createLogger({
    level: 'warn',
    write: (line) => void terminal.stderr.write(warningOf(line) + '\n'),
  });
  const userAgent = `kubectl-cloudlet/${version}`;
  const client = createClient({ ...options, access, logger, clock, userAgent, connections: 2 });
  return { client, access, namespace: text('namespace') ?? access.namespace ?? 'default' };
}

/** Warnings of the API server, as kubectl shows them. */
function warningOf(line: string): string {
  const { message, warning } = JSON.parse(line) as { message?: string; warning?: string };
  return `Warning: ${warning ?? message ?? line}`;
}

function overview(): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 3;
  return [
    'Work with the sites and instances of a Cloudlet region.',
    '',
    `Usage: ${program} COMMAND [flags]`,
    '',
    'Commands:',
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`),
    '',
    `'${program} COMMAND --help' tells more of each.`,
    '',
  ].join('\n');
}

export function commandHelp({ usage, summary, note, flags, examples }: Command): string {
  return [
    helpOf(`${program} ${usage}`, summary, { ...flags, ...commonFlags }),
    ...(note === undefined ? [] : [note, '']),
    'Examples:',
    ...examples.map((example) => `  ${program} ${example}`),
    '',
  ].join('\n');
}
