/**
 * Containers of tests on an engine that is somebody's: their mark, and taking away what a killed run left.
 *
 * The reaper of Testcontainers would do the latter, and is an image to pull; one run at a time has the mark.
 */
import type { ImageEngine } from './pulling.ts';

/** Of every container that a test starts on the user's own Docker. */
export const testLabel = { 'dev.cloudlet.test': 'npm-test' } as const;

/** @returns how many there were. */
export async function clearLeftContainers(engine: Pick<ImageEngine, 'docker'>): Promise<number> {
  const [[name, value] = []] = Object.entries(testLabel);
  const list = ['ps', '--all', '--quiet', '--filter', `label=${name}=${value}`];
  const ids = (await engine.docker(list)).split('\n').filter(Boolean);
  if (ids.length > 0) await engine.docker(['rm', '--force', '--volumes', ...ids]);
  return ids.length;
}
