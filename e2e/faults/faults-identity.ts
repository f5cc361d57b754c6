/** Faults of trust and of the state folder: a site is revoked and returns, its disk is full or read-only. */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { resourceTypes } from '@cloudlet/operator';
import { runCommand } from '@cloudlet/runtime/base';
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
    targets: (bed) => bed.hollow.names.map((name) => `site:${name}`),
    inject: revoke,
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
