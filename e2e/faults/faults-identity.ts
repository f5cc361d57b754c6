/**
 * Faults of trust and of the state folder: a site is revoked and returns, its certificate has expired, its key
 * is copied, its disk is full or read-only.
 */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { instanceIdOf, resourceTypes } from '@cloudlet/operator';
import { runCommand } from '@cloudlet/runtime/base';
import { conditionOf } from '../scale/conditions.ts';
import { authorityOf, mintCertificate } from '../scale/hollow-enrol.ts';
import { expect, until } from '../testbed/index.ts';
import type { FaultBed } from './bed.ts';
import { again, type Fault, type Heal, type Injection, siteOf } from './fault.ts';

async function revoke(injection: Injection): Promise<Heal> {
  const { bed, target, signal } = injection;
  const set = (revoked: boolean): Promise<void> =>
    again(injection, () =>
      bed.client
        .resource(resourceTypes.Cloudlet)
        .mergePatch(siteOf(target), undefined, { spec: { revoked } }, { signal, timeoutMs: 5_000 }),
    );
  await set(true);
  return () => set(false);
}

const dayMs = 86_400_000;

/** The agent comes back after so long that its certificate has expired: it has to enrol with its key. */
async function expire(injection: Injection): Promise<Heal> {
  const { bed, target } = injection;
  const name = siteOf(target);
  const folder = bed.hollow.setups.get(name)?.folder;
  const cloudlet = bed.hollow.cloudlets.cache.get(name);
  if (folder === undefined || !cloudlet) throw new RangeError(`there is no site ${name}`);
  await bed.hollow.stop([name]);
  await again(injection, async () => {
    const authority = await authorityOf(bed.client);
    const now = Date.now() - 2 * dayMs;
    await mintCertificate({ authority, cloudlet, folder, now, days: 1 });
  });
  return () => bed.hollow.start([name]);
}

/**
 * A second agent with a copy of the key and of all that the site had works beside the first, on a machine of its
 * own: as a virtual machine does that was cloned.
 */
async function copy(injection: Injection): Promise<Heal> {
  const { bed, target, signal } = injection;
  const name = siteOf(target);
  const accept = (acceptedKeys: readonly string[]): Promise<void> =>
    again(injection, () =>
      bed.client
        .resource(resourceTypes.Cloudlet)
        .mergePatch(name, undefined, { spec: { acceptedKeys } }, { signal, timeoutMs: 5_000 }),
    );
  await bed.hollow.twin(name, true);
  return async () => {
    const removed = await bed.hollow.twin(name, false);
    // If they were found out, a person says which key is the site's; nothing to say is no harm.
    const keys = bed.hollow.cloudlets.cache.get(name)?.status?.keys ?? [];
    await accept(keys.map(({ fingerprint }) => fingerprint));
    await until(
      `${name} to be let in again`,
      letInMs,
      () => {
        const now = bed.hollow.cloudlets.cache.get(name);
        const connected = now && conditionOf(now, 'Connected');
        expect(connected?.status === 'True', connected?.reason ?? 'it has no condition');
      },
      { signal, intervalMs: 500 },
    );
    await accept([]);
    for (const id of removed) await removeByHand(injection, name, id);
  };
}

/**
 * The copy was the site for as long as the real one was cut off: what was deleted meanwhile it removed, and said
 * so. At the real one that is an orphan, which a person removes as the doctor says. Only what the doctor would
 * name is removed; what is left in the end the agreement tells.
 */
async function removeByHand({ bed, signal }: Injection, name: string, id: string): Promise<void> {
  const look = async (): Promise<void> => {
    const [site] = await bed.hollow.snapshots([name]);
    if (!site?.instances.some((instance) => instance.id === id)) return;
    const entries = bed.ledgers.cache.get(name)?.spec.entries ?? [];
    if (entries.some((entry) => entry.id === id)) return;
    const orphans = bed.hollow.cloudlets.cache.get(name)?.status?.site?.orphans ?? [];
    expect(
      orphans.some((orphan) => orphan.id === id),
      'the site does not tell of it yet',
    );
    expect(!bed.appInsts.cache.list().some((one) => instanceIdOf(one) === id), 'it is known');
    await bed.hollow.act(name, { kind: 'Vanish', id });
  };
  await until(`${id} to be gone from ${name}`, letInMs, look, { signal, intervalMs: 500 }).catch(
    () => signal.throwIfAborted(),
  );
}

/** An agent that was refused asks again within a minute; faults of the region may be in its way. */
const letInMs = 240_000;

const sites = (bed: FaultBed): readonly string[] => bed.hollow.names.map((name) => `site:${name}`);

const small = (bed: FaultBed): readonly string[] =>
  [...bed.smallDisks.keys()].map((name) => `site:${name}`);

const chunkBytes = 4_096;

/** Writes until there is no room for another byte. */
async function fill({ bed, target }: Injection): Promise<Heal> {
  const path = join(bed.smallDisks.get(siteOf(target)) ?? '', 'filler');
  const file = await open(path, 'w');
  try {
    for (const size of [chunkBytes, 1]) while (await isWritten(file, Buffer.alloc(size)));
  } finally {
    await file.close();
  }
  return () => rm(path);
}

async function isWritten(file: Awaited<ReturnType<typeof open>>, bytes: Buffer): Promise<boolean> {
  try {
    await file.write(bytes);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}

async function freezeDisk(injection: Injection): Promise<Heal> {
  const folder = injection.bed.smallDisks.get(siteOf(injection.target)) ?? '';
  const remount = (how: 'ro' | 'rw'): Promise<void> =>
    // A file that is being written keeps it writable for a moment.
    again(injection, () => runCommand('mount', ['-o', `remount,${how}`, folder]));
  await remount('ro');
  return () => remount('rw');
}

export const identityFaults: readonly Fault[] = [
  {
    ...{ name: 'site-revoked', weight: 3, holdMs: [500, 20_000] },
    targets: sites,
    inject: revoke,
  },
  {
    ...{ name: 'certificate-expired', weight: 3, holdMs: [0, 5_000] },
    targets: sites,
    inject: expire,
  },
  {
    ...{ name: 'key-copied', weight: 2, holdMs: [1_000, 40_000] },
    targets: sites,
    inject: copy,
  },
  { name: 'disk-full', weight: 3, holdMs: [1_000, 20_000], targets: small, inject: fill },
  {
    name: 'disk-read-only',
    weight: 3,
    holdMs: [1_000, 20_000],
    targets: small,
    inject: freezeDisk,
  },
];
