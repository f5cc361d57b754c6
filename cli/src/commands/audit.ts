/** audit: who changed what and who opened what, from the API server's audit log. Reads no region. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { TerminalError } from '@cloudlet/runtime/base';
import { secondsOf } from '../arguments.ts';
import { changeText } from '../audit/changes.ts';
import { parseAuditLine } from '../audit/event.ts';
import { type Entry, Journal } from '../audit/journal.ts';
import type { Command, CommandContext } from '../command.ts';
import { formatTable } from '../terminal.ts';

export const auditCommand: Command = {
  name: 'audit',
  usage: 'audit --file FILE [--org ORG] [--since 24h] [--object KIND/NAME] [--user NAME] [-o json]',
  summary: "Say who changed what and who opened what, from the API server's audit log.",
  flags: {
    file: {
      type: 'string',
      required: true,
      description: 'Audit log in JSON lines; - is standard input.',
    },
    org: {
      type: 'string',
      description: 'Of this organization: its namespace, and the sites and zones that it runs.',
    },
    since: { type: 'string', description: 'Only what is younger, such as 24h.' },
    object: {
      type: 'string',
      description: 'Only this one: NAME, NAMESPACE/NAME, KIND/NAME or KIND/NAMESPACE/NAME.',
    },
    user: { type: 'string', description: 'Only what this user did, or had somebody do.' },
    output: {
      type: 'string',
      oneOf: ['text', 'json'],
      default: 'text',
      description: 'Form of the entries (-o); json is an object a line.',
    },
  },
  shorts: { o: 'output' },
  examples: [
    'audit --file /var/log/kubernetes/audit.log --since 24h',
    'audit --file - --object cloudlet/berlin < audit.log',
  ],
  async run(context) {
    const { flags, terminal } = context;
    const journal = new Journal();
    for await (const line of linesOf(context)) {
      const event = parseAuditLine(line);
      if (event) journal.add(event);
    }
    const isWanted = wanted(context);
    const entries = journal.entries().filter(isWanted);
    if (flags['output'] === 'json')
      for (const entry of entries) terminal.stdout.write(JSON.stringify(entry) + '\n');
    else terminal.stdout.write(entries.length > 0 ? auditTable(entries) : 'Nothing.\n');
    return 0;
  },
};

/** Line by line: audit logs are larger than memory. */
async function* linesOf({ flags, terminal, signal }: CommandContext): AsyncIterable<string> {
  const path = String(flags['file']);
  const input = path === '-' ? terminal.stdin : createReadStream(path);
  const failed = new Promise<never>((_, reject) =>
    input.once('error', (cause: unknown) =>
      reject(new TerminalError('NoFile', `cannot read ${path}`, { cause })),
    ),
  );
  failed.catch(() => undefined); // told below, or the reading ended in order
  const lines = createInterface({ input, crlfDelay: Infinity, signal })[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([lines.next(), failed]);
    if (next.done) return;
    yield next.value;
  }
}

function wanted({ flags, clock }: CommandContext): (entry: Entry) => boolean {
  const text = (name: string): string | undefined => flags[name] as string | undefined;
  const [organization, since, object, user] = ['org', 'since', 'object', 'user'].map(text);
  const from = since === undefined ? -Infinity : clock.now() - secondsOf('since', since) * 1000;
  return (entry) =>
    Date.parse(entry.time) >= from &&
    (organization === undefined ||
      entry.namespace === organization ||
      entry.operator === organization) &&
    (object === undefined || isObject(entry, object)) &&
    (user === undefined || entry.user === user || entry.by === user);
}

function isObject({ object }: Entry, asked: string): boolean {
  const [kind = '', key = ''] = object.toLowerCase().split(' ');
  const name = key.split('/').at(-1) ?? '';
  const forms = [name, key, `${kind}/${name}`, `${kind}/${key}`];
  return forms.includes(asked.toLowerCase().replace(/^(\w+)s\//, '$1/'));
}

export function auditTable(entries: readonly Entry[]): string {
  const heads = ['TIME', 'USER', 'ACTION', 'OBJECT', 'RESULT', 'WHAT'];
  return formatTable([
    heads,
    ...entries.map((entry) => [
      entry.time.replace(/\.\d+Z$/, 'Z'),
      entry.by === undefined ? entry.user : `${entry.user} (by ${entry.by})`,
      entry.action === 'Opened' ? `opened ${entry.verb}` : entry.verb,
      entry.object,
      resultText(entry),
      whatText(entry),
    ]),
  ]);
}

function resultText({ code, action }: Entry): string {
  if (code === 0) return action === 'Opened' ? 'open' : '-';
  if (code === 401 || code === 403) return `refused (${code})`;
  return code < 400 ? 'ok' : `failed (${code})`;
}

const tellFields = 6;

function whatText({ changes, program, seconds, isCompared, verb, action, code }: Entry): string {
  if (action === 'Opened')
    return [
      ...(program === undefined ? [] : [program]),
      ...(seconds === undefined ? [] : [`for ${seconds} s`]),
    ].join(' ');
  if (verb.startsWith('delete') || action === 'Read' || code >= 400) return '';
  const told = changes.slice(0, tellFields).map(changeText).join(', ');
  const more = changes.length > tellFields ? `, and ${changes.length - tellFields} more` : '';
  if (verb === 'create' && isCompared) return '';
  if (isCompared) return told === '' ? 'nothing changed' : told + more;
  return told === '' ? '' : `sent ${told}${more}`;
}
