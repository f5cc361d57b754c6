/** Drivers, each a file of its own that is loaded only where it is the one. */
import type { Driver } from '@cloudlet/drivers';
import type { Clock, Logger } from '@cloudlet/runtime/base';
import type { AgentFlags } from './options.ts';

export async function loadDriver(
  flags: Pick<AgentFlags, 'driver' | 'docker-socket'>,
  clock: Clock,
  logger: Logger,
): Promise<Driver> {
  switch (flags.driver) {
    case 'docker-swarm': {
      const { createSwarmDriver } = await import('@cloudlet/drivers/docker-swarm');
      return createSwarmDriver({ socketPath: flags['docker-socket'], clock, logger });
    }
    case 'fake': {
      const { createFakeDriver } = await import('@cloudlet/drivers/fake');
      return createFakeDriver({ clock });
    }
  }
}
