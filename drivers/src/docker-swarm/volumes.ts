/** Named volumes of one node. */
import { ConflictError } from '@cloudlet/runtime/base';
import { type Engine, removed } from './engine.ts';

/** Removes them by label; answers the names of those that a container which ends still has. */
export async function removeLocalVolumes(
  engine: Engine,
  filters: readonly Record<string, readonly string[]>[],
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
