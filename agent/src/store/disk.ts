/**
 * The few file operations that the store is made of, so that a test can lose power between any two.
 *
 * Guarantees of the real one: `writeSynced` returns after the file's bytes are on the medium; a name is on
 * the medium after `syncFolder`; every file has mode 0600 and every folder 0700.
 */
import { link, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';

export interface Disk {
  makeFolder(path: string): Promise<void>;
  list(folder: string): Promise<readonly string[]>;
  /** @throws the system's error, with `code` ENOENT where there is no such file. */
  read(path: string): Promise<string>;
  writeSynced(path: string, text: string): Promise<void>;
  /** A second name for the same file. */
  link(path: string, name: string): Promise<void>;
  /** Replaces `to` in one step. */
  rename(from: string, to: string): Promise<void>;
  /** Succeeds where there is no such file. */
  remove(path: string): Promise<void>;
  syncFolder(folder: string): Promise<void>;
}

export const systemDisk: Disk = {
  async makeFolder(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  list: (folder) => readdir(folder),
  read: (path) => readFile(path, 'utf8'),
  async writeSynced(path, text) {
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  link,
  rename,
  remove: (path) => rm(path, { force: true }),
  async syncFolder(folder) {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

const unwritable = ['EROFS', 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EIO'];

/** Whether a write failed for the disk's sake: read-only, full, or not ours to write. */
export const isUnwritable = (error: unknown): boolean =>
  error instanceof Error && unwritable.includes((error as NodeJS.ErrnoException).code ?? '');

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT';
