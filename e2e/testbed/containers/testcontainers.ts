/**
 * Testcontainers on one engine, with images that the engine has.
 *
 * Guarantees: its own reaper is off, so no image is pulled for it; what it reads of the environment is set for
 * this process alone, before it is loaded; a second engine in one process is refused, since the library keeps
 * the first. Whoever starts a container takes it away.
 */
import type * as Testcontainers from 'testcontainers';
import { TerminalError } from '@cloudlet/runtime/base';

export interface ContainersEngine {
  /** DOCKER_HOST and what belongs to it; nothing for the user's own. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where published ports answer. @default what the library finds */
  readonly host?: string;
}

let taken: string | undefined;

/** @throws TerminalError (`InvalidTestbed`) for another engine than that of the first call. */
export async function testcontainersOn({
  env,
  host,
}: ContainersEngine): Promise<typeof Testcontainers> {
  const settings = {
    ...env,
    TESTCONTAINERS_RYUK_DISABLED: 'true',
    ...(host !== undefined && { TESTCONTAINERS_HOST_OVERRIDE: host }),
  };
  const wanted = JSON.stringify(settings);
  if (taken !== undefined && taken !== wanted)
    throw new TerminalError('InvalidTestbed', 'Testcontainers has an engine in this process');
  taken = wanted;
  for (const [name, value] of Object.entries(settings))
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  return import('testcontainers');
}
