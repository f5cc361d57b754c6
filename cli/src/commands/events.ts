/** events: what happened to our kinds, over all namespaces, in the order in which it did. */
import { coreTypes, createInformer } from '@cloudlet/runtime/kubernetes';
import { secondsOf } from '../arguments.ts';
import type { Command, CommandContext } from '../command.ts';
import {
  belongingsOf,
  byTime,
  type EventFilter,
  type EventObject,
  eventRow,
  eventTable,
  isAsked,
  listEvents,
} from '../events.ts';

export const eventsCommand: Command = {
  name: 'events',
  usage: 'events [-n NAMESPACE] [--org ORG] [--cloudlet NAME] [--since 1h] [-w] [-o json]',
  summary: 'Show what happened to sites and instances, oldest first.',
  flags: {
    org: {
      type: 'string',
      description: 'Of this organization: its namespace, and the sites and zones that it runs.',
    },
    cloudlet: {
      type: 'string',
      description: 'Of this site and of the instances that are placed there.',
    },
    since: { type: 'string', description: 'Only what is younger, such as 1h.' },
    watch: { type: 'boolean', description: 'Go on as more comes (-w).' },
    output: {
      type: 'string',
      oneOf: ['text', 'json'],
      default: 'text',
      description: 'Form of the events (-o); json is an object a line.',
    },
  },
  shorts: { w: 'watch', o: 'output' },
  examples: ['events', 'events --org shop --since 30m', 'events --cloudlet berlin -w'],
  async run(context) {
    const { flags, terminal, signal, clock } = context;
    const { client, namespace: own } = context.region();
    const filter = filterOf(context);
    const belongings = await belongingsOf(client, filter, signal);
    const wanted = flags['namespace'] as string | undefined;
    const { items, namespace } = await listEvents(
      client,
      wanted,
      filter.organization ?? own,
      signal,
    );
    if (namespace !== wanted)
      terminal.stderr.write(
        `You may not see events of all namespaces: these are of ${namespace}.\n`,
      );
    const asked = items.filter((event) => isAsked(event, filter, belongings)).sort(byTime);
    const isJson = flags['output'] === 'json';
    if (isJson) for (const event of asked) terminal.stdout.write(JSON.stringify(event) + '\n');
    else terminal.stdout.write(asked.length > 0 ? eventTable(asked, clock.now()) : 'No events.\n');
    if (flags['watch'])
      await follow(context, namespace, (event) => {
        if (!isAsked(event, filter, belongings)) return;
        const line = isJson ? JSON.stringify(event) : eventRow(event, clock.now()).join('   ');
        terminal.stdout.write(line + '\n');
      });
    return 0;
  },
};

function filterOf({ flags, clock }: CommandContext): EventFilter {
  const since = flags['since'] as string | undefined;
  return {
    organization: flags['org'] as string | undefined,
    cloudlet: flags['cloudlet'] as string | undefined,
    ...(since === undefined ? {} : { since: clock.now() - secondsOf('since', since) * 1000 }),
  };
}

/** Runs until Ctrl-C. */
async function follow(
  context: CommandContext,
  namespace: string | undefined,
  tell: (event: EventObject) => void,
): Promise<void> {
  const { client } = context.region();
  const options = namespace === undefined ? {} : { namespace };
  const informer = createInformer<EventObject>(client, coreTypes.events, options);
  informer.subscribe((change) => {
    if (change.type !== 'Deleted' && !change.initial) tell(change.object);
  });
  await informer.run(context.signal);
}
