/**
 * A disk in memory that can lose power, for tests: what was not synced may be lost, in any combination.
 *
 * Guarantees: bytes of a file count only when written synced; a change of a folder (a name made, replaced or
 * removed) counts only after `syncFolder`, before that a loss of power keeps any subset of the changes; a
 * write that was under way leaves a torn file. Each operation may be the one that power fails in.
 */
import { basename, dirname } from 'node:path';
import type { Random } from '@cloudlet/runtime/base';
import type { Disk } from '../store/disk.ts';

interface File {
  text: string;
}
type Names = Map<string, File>;
/** A change of a folder's names. */
type Change = (names: Names) => void;

export class PowerLoss extends Error {}

export class PowerLossDisk implements Disk {
  /** What is on the medium, by folder. */
  readonly #medium = new Map<string, Names>();
  /** Changes of each folder that are not synced. */
  readonly #pending = new Map<string, Change[]>();
  readonly #random: Random;
  /** Operations until power fails. */
  #left: number;

  constructor(random: Random, operations: number) {
    this.#random = random;
    this.#left = operations;
  }

  /** Power comes back: what was not synced is there or not, by chance. */
  restart(operations: number): void {
    for (const [folder, changes] of this.#pending) {
      const names = this.#names(folder);
      for (const change of changes) if (this.#random() < 0.5) change(names);
    }
    this.#pending.clear();
    this.#left = operations;
  }

  async makeFolder(path: string): Promise<void> {
    this.#names(path);
  }

  async list(folder: string): Promise<readonly string[]> {
    return [...this.#seen(folder).keys()];
  }

  async read(path: string): Promise<string> {
    return this.#file(path).text;
  }

  async writeSynced(path: string, text: string): Promise<void> {
    const file = { text: text.slice(0, Math.floor(this.#random() * text.length)) };
    this.#change(path, (names) => names.set(basename(path), file));
    this.#spend();
    file.text = text;
  }

  async link(path: string, name: string): Promise<void> {
    const file = this.#file(path);
    this.#change(name, (names) => names.set(basename(name), file));
    this.#spend();
  }

  async rename(from: string, to: string): Promise<void> {
    const file = this.#file(from);
    this.#change(to, (names) => {
      names.delete(basename(from));
      names.set(basename(to), file);
    });
    this.#spend();
  }

  async remove(path: string): Promise<void> {
    this.#change(path, (names) => names.delete(basename(path)));
    this.#spend();
  }

  async syncFolder(folder: string): Promise<void> {
    this.#spend();
    for (const change of this.#pending.get(folder) ?? []) change(this.#names(folder));
    this.#pending.delete(folder);
  }

  #spend(): void {
    if (this.#left-- <= 0) throw new PowerLoss('the power is gone');
  }

  #change(path: string, change: Change): void {
    if (this.#left <= 0 && this.#random() < 0.5) throw new PowerLoss('the power is gone');
    const folder = dirname(path);
    this.#pending.set(folder, [...(this.#pending.get(folder) ?? []), change]);
  }

  #names(folder: string): Names {
    const names = this.#medium.get(folder) ?? new Map<string, File>();
    this.#medium.set(folder, names);
    return names;
  }

  /** The names as a running system sees them: the medium and all that is pending. */
  #seen(folder: string): Names {
    const names = new Map(this.#names(folder));
    for (const change of this.#pending.get(folder) ?? []) change(names);
    return names;
  }

  #file(path: string): File {
    const file = this.#seen(dirname(path)).get(basename(path));
    if (!file) throw Object.assign(new Error(`ENOENT: ${path}`), { code: 'ENOENT' });
    return file;
  }
}
