/**
 * What a cluster of kind can still tell of a run that failed, kept in a folder that outlives it.
 *
 * Guarantees: the log of every container of every pod, and of the container before where it was started again;
 * pods and events as the API server has them; the node's own logs by kind. Nothing here fails: what cannot be
 * had is named in the folder, so that no failure hides the one that is looked into.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError, runCommand } from '@cloudlet/runtime/base';
import type { Kubectl } from '../testbed/index.ts';

interface ContainerStatus {
  readonly name: string;
  readonly restartCount: number;
}
interface Pod {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly status: {
    readonly initContainerStatuses?: readonly ContainerStatus[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface LogsOptions {
  readonly kubectl: Kubectl;
  /** Has kind write the node's own logs into a folder. */
  readonly nodeLogs: (folder: string) => Promise<unknown>;
  /** What an earlier run left there goes. */
  readonly folder: string;
}

const everywhere = ['--all-namespaces'];
/** Enough for what came before an end. */
const limit = '--limit-bytes=8000000';

export async function keepLogs({ kubectl, nodeLogs, folder }: LogsOptions): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'pods'), { recursive: true });
  const missing: string[] = [];
  const keep = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => missing.push(`${what}: ${describeError(error)}`));
  };
  const write = async (name: string, args: readonly string[]): Promise<void> =>
    keep(name, async () => writeFileSync(join(folder, name), await kubectl(args)));
  await write('pods.txt', ['get', 'pods', ...everywhere, '-o', 'wide']);
  await write('events.txt', ['get', 'events', ...everywhere, '--sort-by=.lastTimestamp']);
  await keep('the pods', async () => {
    const { items } = JSON.parse(await kubectl(['get', 'pods', ...everywhere, '-o', 'json'])) as {
      items: readonly Pod[];
    };
    for (const { file, args } of items.flatMap(logsOf)) await write(join('pods', file), args);
  });
  await keep("the node's logs", () => nodeLogs(join(folder, 'node')));
  if (missing.length > 0) writeFileSync(join(folder, 'missing.txt'), `${missing.join('\n')}\n`);
}

/** Each log of a pod: its file, and how kubectl gives it. */
function logsOf({ metadata: { name, namespace }, status }: Pod) {
  const { initContainerStatuses = [], containerStatuses = [] } = status;
  return [...initContainerStatuses, ...containerStatuses].flatMap((container) => {
    const file = `${namespace}_${name}_${container.name}`;
    const args = ['logs', name, '--namespace', namespace, '--container', container.name, limit];
    const now = { file: `${file}.log`, args };
    const before = { file: `${file}.previous.log`, args: [...args, '--previous'] };
    return container.restartCount > 0 ? [now, before] : [now];
  });
}

/** `nodeLogs` of a cluster. */
export const exportedBy =
  (kind: string, cluster: string, env: Readonly<Record<string, string | undefined>>) =>
  (folder: string): Promise<unknown> =>
    runCommand(kind, ['export', 'logs', folder, '--name', cluster], { env, timeoutMs: 120_000 });
