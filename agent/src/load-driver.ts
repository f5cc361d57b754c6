/** Drivers, each a file of its own that is loaded only where it is the one. */
import { join, resolve } from 'node:path';
import type { Driver } from '@cloudlet/drivers';
import type { HelperOptions, SwarmDriverOptions } from '@cloudlet/drivers/docker-swarm';
import type { Clock, Logger } from '@cloudlet/runtime/base';
import type { AgentFlags } from './options.ts';
import { FileSiteAuthority } from './site-authority.ts';

type DriverFlags = Pick<
  AgentFlags,
  | 'driver'
  | 'docker-socket'
  | 'lb-image'
  | 'lb-udp-image'
  | 'helper-image'
  | 'helper-port'
  | 'address'
  | 'state-dir'
>;

export async function loadDriver(
  flags: DriverFlags,
  clock: Clock,
  logger: Logger,
): Promise<Driver> {
  switch (flags.driver) {
    case 'docker-swarm': {
      const { createSwarmDriver } = await import('@cloudlet/drivers/docker-swarm');
      return createSwarmDriver({
        socketPath: flags['docker-socket'],
        dataDir: join(flags['state-dir'], 'driver'),
        ...(flags.address.length > 0 ? { addresses: flags.address } : {}),
        ...(flags['lb-image'] === 'none' ? {} : { loadBalancer: loadBalancerOf(flags) }),
        ...(flags['helper-image'] === 'none' ? {} : { helpers: helpersOf(flags, clock, logger) }),
        clock,
        logger,
      });
    }
    case 'fake': {
      const { createFakeDriver } = await import('@cloudlet/drivers/fake');
      return createFakeDriver({ clock });
    }
  }
}

function helpersOf(flags: DriverFlags, clock: Clock, logger: Logger): HelperOptions {
  const folder = join(flags['state-dir'], 'site-authority');
  return {
    image: flags['helper-image'],
    port: flags['helper-port'],
    authority: new FileSiteAuthority({ folder, clock, logger }),
  };
}

function loadBalancerOf(flags: DriverFlags): SwarmDriverOptions['loadBalancer'] & object {
  // The engine mounts it by this path: the agent and the engine see the same files.
  const dir = resolve(flags['state-dir'], 'load-balancer');
  const udpImage = flags['lb-udp-image'];
  return { image: flags['lb-image'], dir, ...(udpImage === 'none' ? {} : { udpImage }) };
}
