/** join: prints what an agent needs to enrol, once. */
import { annotations, type Cloudlet, namespaces } from '@cloudlet/crds';
import { type Clock, NotFoundError, TerminalError } from '@cloudlet/runtime/base';
import { joinSecretName, resourceTypes, type SecretObject, secretType } from '@cloudlet/operator';
import type { KubernetesClient } from '@cloudlet/runtime/kubernetes';
import { onlyOne } from '../arguments.ts';
import type { Command } from '../command.ts';

const waitMs = 30_000;
const lookMs = 500;

export const joinCommand: Command = {
  name: 'join',
  usage: 'join CLOUDLET [--renew]',
  summary: 'Print the join of a Cloudlet: what its agent needs to enrol, good once and for a day.',
  flags: {
    renew: { type: 'boolean', description: 'Have a new one made; the one before ends at once.' },
  },
  examples: [
    'join berlin | ssh phone cloudlet-agent --join-file -',
    'join berlin --renew > join.json',
  ],
  async run(context) {
    const cloudlet = onlyOne(context.positionals, 'the name of a Cloudlet');
    const { client } = context.region();
    await client.resource<Cloudlet>(resourceTypes.Cloudlet).get(cloudlet);
    const secrets = client.resource<SecretObject>(secretType);
    if (context.flags['renew']) {
      await secrets.delete(joinSecretName(cloudlet), namespaces.system).catch((error: unknown) => {
        if (!(error instanceof NotFoundError)) throw error;
      });
      await nudge(client, cloudlet, context.clock);
    }
    const secret = await awaited(context, cloudlet, context.flags['renew'] === true);
    context.terminal.stdout.write(joinOf(secret, cloudlet, context.clock.now()) + '\n');
    return 0;
  },
};

/** The operator looks at a Cloudlet that changed. */
async function nudge(client: KubernetesClient, cloudlet: string, clock: Clock): Promise<void> {
  const now = new Date(clock.now()).toISOString();
  await client.resource<Cloudlet>(resourceTypes.Cloudlet).mergePatch(cloudlet, undefined, {
    metadata: { annotations: { [annotations.reconcileAt]: now } },
  });
}

async function awaited(
  context: Parameters<Command['run']>[0],
  cloudlet: string,
  isNew: boolean,
): Promise<SecretObject> {
  const { clock, signal } = context;
  const secrets = context.region().client.resource<SecretObject>(secretType);
  const end = clock.monotonic() + waitMs;
  for (;;) {
    try {
      const secret = await secrets.get(joinSecretName(cloudlet), namespaces.system, { signal });
      if (!isNew || secret.data?.['join'] !== undefined) return secret;
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error;
    }
    if (clock.monotonic() > end)
      throw new TerminalError(
        'NoJoin',
        `the operator made no join for ${cloudlet} within ${waitMs / 1000} s; is it running? 'kubectl -n ${namespaces.system} get pods'`,
      );
    await clock.sleep(lookMs, signal);
  }
}

/** @throws TerminalError that says why there is none any more and what to do. */
export function joinOf(secret: SecretObject, cloudlet: string, now: number): string {
  const value = (key: string): string | undefined => {
    const encoded = secret.data?.[key];
    return encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8');
  };
  const renew = `make another by 'kubectl cloudlet join ${cloudlet} --renew'`;
  const boundKey = value('boundKey');
  const join = value('join');
  if (join === undefined && boundKey !== undefined)
    throw new TerminalError(
      'JoinUsed',
      `the join of ${cloudlet} was used by the key ${boundKey}; for another member, ${renew}`,
    );
  if (join === undefined)
    throw new TerminalError('NoJoin', `the join of ${cloudlet} holds no token; ${renew}`);
  const expiresAt = value('expiresAt');
  if (expiresAt !== undefined && Date.parse(expiresAt) <= now)
    throw new TerminalError(
      'JoinExpired',
      `the join of ${cloudlet} ended at ${expiresAt}; ${renew}`,
    );
  return join;
}
