/** Named volumes of one node. */
import { ConflictError, WaitingError } from '@cloudlet/runtime/base';
import { type Engine, removed } from './engine.ts';

/** @throws WaitingError while a container that ends still has one. */
export async function removeLocalVolumes(
  engine: Engine,
  filters: readonly Record<string, readonly string[]>[],
  signal: AbortSignal,
): Promise<void> {
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
        throw new WaitingError('Removing', error.message, 1000, { cause: error });
      }
    }
  }
}
