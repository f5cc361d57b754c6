/** The agent's state folder: desired state, the site's record, checkpoints and transitions. */
import { z } from 'zod';
import type { Checkpoint } from '@cloudlet/drivers';
import type { Logger } from '@cloudlet/runtime/base';
import { DesiredStore } from './desired.ts';
import { type Disk, systemDisk } from './disk.ts';
import { Notes } from './notes.ts';
import { SiteStore } from './site.ts';

/** Most bytes of a checkpoint's data. */
export const maxCheckpointBytes = 64 * 1024;

const checkpoint: z.ZodType<Checkpoint> = z.object({ version: z.string(), data: z.unknown() });

const transition = z.object({ status: z.enum(['True', 'False', 'Unknown']), since: z.string() });
/** Since when each condition of an instance has its status, by type. */
const transitions = z.record(z.string(), transition);
export type Transitions = z.infer<typeof transitions>;

export interface Store {
  readonly desired: DesiredStore;
  readonly site: SiteStore;
  readonly checkpoints: Notes<Checkpoint>;
  /** By instance id; the site's own under `_site`. */
  readonly transitions: Notes<Transitions>;
  /** Settles when all that was asked for is on disk. */
  idle(): Promise<void>;
}

export interface StoreOptions {
  readonly folder: string;
  readonly agentVersion: string;
  readonly features: readonly string[];
  readonly logger: Logger;
  readonly disk?: Disk;
}

export async function openStore(options: StoreOptions): Promise<Store> {
  const { folder, logger, disk = systemDisk } = options;
  const desired = await DesiredStore.open(options);
  const site = await SiteStore.open(folder, logger, disk);
  const checkpoints = await Notes.open(folder, 'checkpoints', checkpoint, logger, disk);
  const notes = await Notes.open(folder, 'transitions', transitions, logger, disk);
  return {
    desired,
    site,
    checkpoints,
    transitions: notes,
    idle: async () => {
      await Promise.all([desired.idle(), site.idle(), checkpoints.idle(), notes.idle()]);
    },
  };
}

export { DesiredStore, type InstanceRecord, type PlanVerdict, sequenceOf } from './desired.ts';
export { type Disk, isUnwritable, systemDisk } from './disk.ts';
export { Documents, peekDocument } from './documents.ts';
export { Notes } from './notes.ts';
export { SiteStore } from './site.ts';
