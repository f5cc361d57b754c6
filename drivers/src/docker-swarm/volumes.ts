/**
 * Named volumes, which are each node's own: here they are removed at once, elsewhere by the node's helper.
 */
import { ConflictError, DriverError } from '@cloudlet/runtime/base';
import { type Engine, removed } from './engine.ts';
import type { SwarmNode } from './engine-types.ts';
import { nameOf } from './helper/client.ts';
import type { SwarmPlace } from './sessions/place.ts';

type Filters = readonly Record<string, readonly string[]>[];

export interface RemovedVolumes {
  /** Names of volumes that a container which ends still has. */
  readonly inUse: readonly string[];
  /** Names of nodes that could not be reached. */
  readonly unreached: readonly string[];
  /** Whether some of those may be before long. */
  readonly isWorthWaiting: boolean;
}

/** Nodes at once. */
const width = 8;

/** Removes volumes by label on every node. */
export async function removeVolumes(
  options: SwarmPlace & { readonly filters: Filters; readonly signal: AbortSignal },
): Promise<RemovedVolumes> {
  const { engine, ownNodeId, helpers, filters, signal } = options;
  const inUse = [...(await removeLocalVolumes(engine, filters, signal))];
  const unreached: SwarmNode[] = [];
  const own = await ownNodeId(signal);
  const others = (await engine.nodes(signal)).filter(({ ID }) => ID !== own);
  const work = async (): Promise<void> => {
    for (let node = others.shift(); node; node = others.shift()) {
      const remote =
        helpers && isReady(node) ? await reached(helpers.reach(node, signal)) : undefined;
      if (remote) inUse.push(...(await removeLocalVolumes(remote, filters, signal)));
      else unreached.push(node);
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  return {
    inUse,
    unreached: unreached.map(nameOf).sort(),
    isWorthWaiting: helpers !== undefined && unreached.some(isReady),
  };
}

const isReady = ({ Status }: SwarmNode): boolean => Status.State === 'ready';

async function reached(reaching: Promise<Engine>): Promise<Engine | undefined> {
  try {
    return await reaching;
  } catch (error) {
    if (error instanceof DriverError && error.reason === 'NoHelper') return undefined;
    throw error;
  }
}

/** Removes those of one node; answers the names of those that are still in use. */
async function removeLocalVolumes(
  engine: Engine,
  filters: Filters,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const inUse: string[] = [];
  for (const filter of filters) {
    for (const { Name } of await engine.volumes(filter, signal)) {
      try {
        await removed(
          engine.call(`remove volume ${Name}`, signal, (docker, call) =>
            docker.getVolume(Name).remove(call),
          ),
        );
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        inUse.push(Name);
      }
    }
  }
  return inUse;
}
