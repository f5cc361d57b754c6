/** An informer that follows a fault server, with all that happened. */
import { createInformer } from '../informer.ts';
import type { CacheEvent, Informer } from '../types.ts';
import { FaultServer, type Thing } from './fault-server.ts';
import { clientOf, things, until } from './harness.ts';

export const impatient = {
  idleMs: 150,
  listTimeoutMs: 300,
  reopenMs: 1,
  backoff: { baseMs: 1, maxMs: 4 },
};

export interface Fixture extends AsyncDisposable {
  readonly server: FaultServer;
  readonly informer: Informer<Thing>;
  /** Type and name of each event. */
  readonly events: string[];
}

export async function follow(
  options: Partial<Parameters<typeof createInformer<Thing>>[2]> & {
    readonly prepare?: (server: FaultServer) => void;
    readonly onEvent?: (event: CacheEvent<Thing>) => void;
  } = {},
): Promise<Fixture> {
  const { prepare, onEvent, ...rest } = options;
  const server = await FaultServer.start();
  prepare?.(server);
  const client = clientOf(server.url);
  const informer = createInformer<Thing>(client, things, { ...impatient, ...rest });
  const events: string[] = [];
  informer.subscribe((event) => {
    events.push(`${event.type} ${event.object.metadata.name}`);
    onEvent?.(event);
  });
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  return {
    server,
    informer,
    events,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** Names, uids and versions: what makes two sets of objects the same. */
export function shape(objects: Iterable<Thing>): string[] {
  return [...objects]
    .map(
      ({ metadata, spec }) =>
        `${metadata.name} ${metadata.uid} ${metadata.resourceVersion} ${spec.value}`,
    )
    .sort();
}

export async function caughtUp({
  server,
  informer,
}: Pick<Fixture, 'server' | 'informer'>): Promise<void> {
  const wanted = (): string => shape(server.objects.values()).join();
  const have = (): string => shape(informer.cache.list()).join();
  await until(
    () => informer.hasSynced && wanted() === have(),
    () =>
      `the cache has ${have()}, the server ${wanted()}; asked: ${server.requests.slice(-5).join(', ')}`,
  );
}
