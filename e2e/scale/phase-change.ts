/** Phases of upkeep: certificates roll, hub, operators and agents are upgraded, everything restarts at once. */
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { systemClock } from '@cloudlet/runtime/base';
import { expect, until } from '../testbed/index.ts';
import type { ScaleBed } from './bed.ts';
import { type PhaseResult, spread } from './figures.ts';
import { authorityOf, mintCertificate } from './hollow-enrol.ts';
import { machineMs } from './hollow-messages.ts';
import { cloudletsReady, connections, withoutRestarts } from './phase-faults.ts';
import { inParallel } from './watching.ts';

/**
 * A certificate lives from an hour before it was issued. One of 90 minutes in all is renewed 30 to 33 minutes
 * before its end; issued five minutes from now, that is in two to five minutes.
 */
const lifeDays = 0.5 / 24;
const aheadMs = 5 * 60_000;
const rollDeadlineMs = 900_000;

/** Every site gets a certificate that is due, and renews it in its own time; then it moves to the new one. */
export function certificates(bed: ScaleBed): Promise<PhaseResult> {
  return withoutRestarts(bed, 'certificates', async () => {
    const { hollow, client } = bed;
    const authority = await authorityOf(client);
    const old = new Map<string, string>();
    await inParallel(hollow.names, 8, async (name) => {
      const cloudlet = hollow.cloudlets.cache.get(name);
      const setup = hollow.setups.get(name);
      expect(cloudlet && setup, `no Cloudlet ${name}`);
      const now = Date.now() + aheadMs;
      await mintCertificate({ authority, cloudlet, folder: setup.folder, now, days: lifeDays });
      old.set(name, await certificateOf(setup.folder));
    });
    await hollow.drop();
    await systemClock.sleep(500, bed.options.signal);
    await hollow.connected();
    const start = machineMs();
    const links = connections(bed);
    const { connected, disconnected } = links;
    const renewed = async (): Promise<number> => {
      let count = 0;
      for (const { name, folder } of hollow.setups.values())
        if ((await certificateOf(folder)) !== old.get(name)) count++;
      return count;
    };
    await until(
      'every certificate to be renewed',
      rollDeadlineMs,
      async () => {
        const count = await renewed();
        expect(count === hollow.names.length, `${count} are`);
      },
      { intervalMs: 2_000, signal: bed.options.signal },
    );
    const rolled = machineMs();
    await until('every agent to use its new certificate', 120_000, () => {
      expect(connected.size === hollow.names.length, `${connected.size} do`);
    });
    await hollow.connected();
    links.stop();
    const gaps = [...connected].map(([name, at]) => at - (disconnected.get(name) ?? at));
    return {
      figures: {
        'certificates.rolled': (rolled - start) / 1_000,
        ...spread('certificates.gapMs', gaps),
      },
      notes: [
        'renewals are spread over three minutes of a life of 90; over a day of one of 30 days',
      ],
    };
  });
}

const certificateOf = (folder: string): Promise<string> =>
  readFile(join(folder, 'identity', 'agent.crt'), 'utf8');

/** Hub, operators and agents end in order and start again, one kind after the other, as an upgrade does. */
export function upgrade(bed: ScaleBed): Promise<PhaseResult> {
  return withoutRestarts(bed, 'upgrade', async () => {
    const { hollow, region, options } = bed;
    const before = await bed.hollow.counts();
    const links = connections(bed);
    const { connected } = links;
    const [hub] = region.hubs;
    await hub?.stop();
    await hub?.start();
    const hubBack = machineMs();
    await hollow.connected();
    const reconnects = [...connected.values()].map((at) => Math.max(0, at - hubBack) / 1_000);
    for (const operator of region.operators) await operator.restart();
    const agentsFrom = machineMs();
    // A tenth at a time: whoever rolls out an agent does not take all sites at once.
    const share = Math.ceil(hollow.names.length / 10);
    for (let first = 0; first < hollow.names.length; first += share) {
      const names = hollow.names.slice(first, first + share);
      await hollow.stop(names);
      await hollow.start(names);
    }
    await hollow.connected();
    links.stop();
    await cloudletsReady(bed, hollow.names);
    const after = await bed.hollow.counts();
    options.progress(
      `${after.ensures - before.ensures} calls of drivers found all as it should be`,
    );
    return {
      figures: {
        ...spread('upgrade.hub.reconnect', reconnects),
        'upgrade.agents': (machineMs() - agentsFrom) / 1_000,
      },
    };
  });
}

/**
 * API server, store, operators, hub and every agent end at once and start again; measured until a report of
 * the new life of its agent says of every instance that it runs.
 */
export function restart(bed: ScaleBed): Promise<PhaseResult> {
  return withoutRestarts(bed, 'restart', async () => {
    const { hollow, region, controlPlane, options, appInsts } = bed;
    const boots = new Map(
      appInsts.cache.list().map(({ metadata, status }) => [metadata.uid, status?.site?.boot]),
    );
    const parts = [...region.hubs, ...region.operators, controlPlane.controllerManager];
    await Promise.all([...parts.map((part) => part.kill()), hollow.stop()]);
    await controlPlane.apiserver.kill();
    await controlPlane.etcd.kill();
    const start = machineMs();
    await Promise.all([
      hollow.start(),
      (async () => {
        await controlPlane.etcd.start();
        await controlPlane.apiserver.start();
        await Promise.all(parts.map((part) => part.start()));
      })(),
    ]);
    const regionUp = machineMs();
    let confirmed = 0;
    await until(
      'every instance to be confirmed',
      900_000,
      () => {
        confirmed = appInsts.cache.list().filter(({ metadata, status }) => {
          const boot = status?.site?.boot;
          return boot !== undefined && boot !== boots.get(metadata.uid);
        }).length;
        expect(confirmed === boots.size, `${confirmed} of ${boots.size} are`);
      },
      { signal: options.signal },
    );
    // What a flood added makes it more, not another figure.
    const perSite = Math.floor(boots.size / options.sites);
    return {
      figures: {
        [`restart.resync.${options.sites}x${perSite}`]: (machineMs() - start) / 1_000,
        'restart.regionUp': (regionUp - start) / 1_000,
      },
    };
  });
}
