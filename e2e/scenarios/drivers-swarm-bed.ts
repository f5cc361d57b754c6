/** Phones in a swarm, images of their own, and drivers on their engines, for the scenarios of the swarm driver. */
import type { Driver } from '@cloudlet/drivers';
import type { Harness } from '@cloudlet/drivers/conformance';
import { createSwarmDriver, type SwarmDriverOptions } from '@cloudlet/drivers/docker-swarm';
import { createLogger, systemClock } from '@cloudlet/runtime/base';
import { buildImage } from '../testbed/images/image.ts';
import type { Architecture } from '../testbed/images/debian.ts';
import { pushImages } from '../testbed/images/registry.ts';
import type { Phone } from '../testbed/phones/phone.ts';
import { type Phones, phonesForTest } from '../testbed/phones/phones.ts';
import { formSwarm, swarmNodes } from '../testbed/phones/swarm.ts';

export interface SwarmBed {
  readonly phones: readonly Phone[];
  readonly registry: string;
  driver(phone: Phone, options?: Partial<SwarmDriverOptions>): Driver;
  /** The phone whose manager leads. */
  leader(): Promise<Phone>;
  close(): Promise<void>;
}

export async function swarmBed(count: number): Promise<SwarmBed> {
  const set: Phones = await phonesForTest({ count, prefix: 'swd', net: '10.82.0' });
  await formSwarm(set.phones);
  const drivers: Driver[] = [];
  const logger = createLogger({ level: process.env['CLOUDLET_TEST_LOG'] ? 'debug' : 'error' });
  return {
    phones: set.phones,
    registry: set.registry,
    driver: (phone, options = {}) => {
      const { socketPath } = phone;
      const driver = createSwarmDriver({ socketPath, clock: systemClock, logger, ...options });
      drivers.push(driver);
      return driver;
    },
    leader: async () => {
      for (const phone of set.phones) {
        const nodes = await swarmNodes(phone).catch(() => []);
        const name = nodes.find(({ manager }) => manager === 'Leader')?.name;
        const found = set.phones.find((one) => one.name === name);
        if (found) return found;
      }
      throw new Error('no phone knows a leader');
    },
    close: async () => {
      for (const driver of drivers) await driver.close();
      await set.stop();
    },
  };
}

export interface SwarmImages {
  /** Busybox that prints a line and sleeps. */
  readonly good: string;
  readonly other: string;
  readonly missing: string;
  readonly crashing: string;
  /** For linux/arm/v7 alone. */
  readonly arm: string;
}

export async function pushSwarmImages(registry: string): Promise<SwarmImages> {
  const sleep = 'echo up; trap "exit 0" TERM; while :; do sleep 1 & wait; done';
  const push = async (name: string, script: string, architecture: Architecture = 'amd64') => {
    const files = Object.fromEntries(
      ['sh', 'echo', 'cat', 'false', 'sleep', 'stty', 'wget'].map((applet) => [
        `/bin/${applet}`,
        { linkTo: 'busybox' },
      ]),
    );
    const command = ['/bin/sh', '-c', script];
    const packages = ['busybox-static'];
    const env = { PATH: '/bin' };
    const options = { name, architecture, packages, files, command, env };
    return (await pushImages(registry, name, [await buildImage(options)])).reference;
  };
  return {
    good: await push('sleeper:1', sleep),
    other: await push('sleeper:2', `: two; ${sleep}`),
    crashing: await push('crasher:1', 'echo cannot go on >&2; exit 1'),
    arm: await push('sleeper-arm:1', sleep, 'arm/v7'),
    missing: `${registry}/nothing-here:1`,
  };
}

/** A harness whose look at the platform goes by the command-line tool, past the driver. */
/** Of the manager whose driver is tried. */
export const nearLabel = 'near';

export function swarmHarness(bed: SwarmBed, phone: Phone, images: SwarmImages): Harness {
  const driver = bed.driver(phone);
  const labelled = async (on: Phone, args: readonly string[], id: string): Promise<string[]> => {
    const filter = ['--filter', `label=edge.cloudlet.dev/instance-id=${id}`];
    return (await on.docker([...args, '--quiet', ...filter])).split('\n').filter(Boolean);
  };
  return {
    driver,
    images,
    patienceMs: 90_000,
    // Without the nodes' helpers, which have their own scenario, exec reaches the acting manager alone.
    inReach: { cluster: { name: 'shop/near', nodeLabels: { [nearLabel]: 'yes' } } },
    left: async (id) => {
      const found: string[] = [];
      for (const kind of ['service', 'network', 'config', 'secret'])
        for (const one of await labelled(phone, [kind, 'ls'], id)) found.push(`${kind} ${one}`);
      for (const on of bed.phones)
        for (const one of await labelled(on, ['volume', 'ls'], id))
          found.push(`volume ${one} on ${on.name}`);
      return found;
    },
    running: async (id) => {
      const services = await labelled(phone, ['service', 'ls'], id);
      const ids: string[] = [];
      for (const on of bed.phones)
        for (const short of services) {
          const full = ['service', 'inspect', '--format', '{{.ID}}', short];
          const service = (await phone.docker(full)).trim();
          const filter = ['--filter', `label=com.docker.swarm.service.id=${service}`];
          const listed = await on.docker(['ps', '--quiet', '--no-trunc', ...filter]);
          ids.push(...listed.split('\n').filter(Boolean));
        }
      return ids.sort();
    },
    close: () => driver.close(),
  };
}
