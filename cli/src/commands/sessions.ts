/** exec, logs and shell: sessions at a site, through the API server. */
import { TerminalError } from '@cloudlet/runtime/base';
import { onlyOne, secondsOf } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import { accessPath, runSession } from '../session.ts';

const programFlags = {
  stdin: { type: 'boolean', description: 'Pass standard input on (-i).' },
  tty: { type: 'boolean', description: 'Give the program a terminal (-t).' },
} as const;
const targetFlag = {
  target: {
    type: 'string',
    description: "Task or service, as in the instance's status. Default: the first that runs.",
  },
} as const;

export const execCommand: Command = {
  name: 'exec',
  usage: 'exec APPINST [-i] [-t] [--target TASK] -- COMMAND [ARGUMENT...]',
  summary: 'Run a program in an instance, wherever it runs.',
  flags: { ...programFlags, ...targetFlag },
  shorts: { i: 'stdin', t: 'tty' },
  examples: ['exec shop -it -- sh', 'exec shop --target shop_web.2 -- cat /etc/hosts'],
  run(context) {
    const { command = [], flags } = context;
    const name = onlyOne(context.positionals, 'the name of an AppInst');
    if (command.length === 0)
      throw new TerminalError('InvalidFlags', 'a command is wanted behind --');
    const query = programQuery(context, command);
    if (flags['target']) query.set('container', String(flags['target']));
    return session(context, instancePath(context, name, 'exec'), query);
  },
};

export const shellCommand: Command = {
  name: 'shell',
  usage: 'shell CLOUDLET [-- COMMAND [ARGUMENT...]]',
  summary: "Open a shell on a site's manager.",
  flags: programFlags,
  shorts: { i: 'stdin', t: 'tty' },
  examples: ['shell berlin', 'shell berlin -- docker node ls'],
  run(context) {
    const name = onlyOne(context.positionals, 'the name of a Cloudlet');
    const { command, terminal } = context;
    const isShell = command === undefined;
    const flags = isShell
      ? { ...context.flags, stdin: true, tty: terminal.isInteractive }
      : context.flags;
    const query = programQuery({ ...context, flags }, command ?? []);
    return session({ ...context, flags }, `cloudlets/${encodeURIComponent(name)}/shell`, query);
  },
};

export const logsCommand: Command = {
  name: 'logs',
  usage: 'logs APPINST [-f] [--tail N] [--since 10m] [--timestamps] [--target TASK]',
  summary: 'Print the logs of an instance.',
  flags: {
    follow: { type: 'boolean', description: 'Go on as more comes (-f).' },
    tail: { type: 'number', description: 'Only so many of the last lines.' },
    since: { type: 'string', description: 'Only what is younger, such as 10m.' },
    timestamps: { type: 'boolean', description: 'Begin each line with its time.' },
    ...targetFlag,
  },
  shorts: { f: 'follow' },
  examples: ['logs shop -f --tail 20'],
  run(context) {
    const { flags } = context;
    const name = onlyOne(context.positionals, 'the name of an AppInst');
    const query = new URLSearchParams();
    if (flags['follow']) query.set('follow', 'true');
    if (flags['timestamps']) query.set('timestamps', 'true');
    if (flags['tail'] !== undefined) query.set('tailLines', String(flags['tail']));
    if (flags['since'] !== undefined)
      query.set('sinceSeconds', String(secondsOf('since', String(flags['since']))));
    if (flags['target']) query.set('container', String(flags['target']));
    return session(context, instancePath(context, name, 'log'), query);
  },
};

function programQuery(
  { flags, terminal }: CommandContext,
  command: readonly string[],
): URLSearchParams {
  if (flags['tty'] && !terminal.isInteractive)
    throw new TerminalError(
      'InvalidFlags',
      '-t wants a terminal, and standard input is none: leave -t out',
    );
  const query = new URLSearchParams(command.map((part): [string, string] => ['command', part]));
  if (flags['stdin']) query.set('stdin', 'true');
  if (flags['tty']) query.set('tty', 'true');
  return query;
}

function instancePath(context: CommandContext, name: string, verb: string): string {
  const { namespace } = context.region();
  return `namespaces/${encodeURIComponent(namespace)}/appinsts/${encodeURIComponent(name)}/${verb}`;
}

function session(context: CommandContext, rest: string, query: URLSearchParams): Promise<number> {
  const { flags, terminal, clock, signal } = context;
  return runSession({
    ...{ terminal, clock, signal },
    access: context.region().access,
    path: accessPath(rest, query),
    stdin: flags['stdin'] === true,
    tty: flags['tty'] === true,
  });
}
