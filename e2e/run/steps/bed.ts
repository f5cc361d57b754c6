/** Parts of the test bed for a command: started in order, taken down with the command. */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type EmbeddedControlPlane,
  type Phones,
  type PhonesOptions,
  startControlPlane,
  startPhones,
} from '../../testbed/index.ts';
import type { CommandContext } from './main.ts';

/** Averages of one, five and fifteen minutes: figures of a loaded machine are worth little. */
export const machineLoad = (): string =>
  loadavg()
    .map((load) => load.toFixed(1))
    .join(', ');

/** A folder that goes with the command. */
export async function temporaryFolder(context: CommandContext, name: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), `cloudlet-${name}-`));
  context.cleanup.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

export async function controlPlaneOf(
  context: CommandContext,
  dir: string,
): Promise<EmbeddedControlPlane> {
  const { progress, cleanup, signal } = context;
  signal.throwIfAborted();
  const controlPlane = await startControlPlane({ dir: join(dir, 'controlplane'), progress });
  cleanup.defer(() => controlPlane.stop());
  progress(`control plane runs at ${controlPlane.server}`);
  return controlPlane;
}

export async function phonesOf(context: CommandContext, options: PhonesOptions): Promise<Phones> {
  const { progress, cleanup, signal } = context;
  signal.throwIfAborted();
  const phones = await startPhones({ ...options, progress });
  cleanup.defer(() => phones.stop());
  return phones;
}
