/**
 * What the platform of a hollow site did, change by change, in a file that outlives the site's process.
 *
 * Guarantees: a change is in the file before anything else of the site hears of it, so a process that is
 * killed leaves no change untold; the next process takes the platform over as the file says. A line that was
 * cut off by the end of the process is left out: it was told to nobody.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { FakeInstance, FakePlatform } from '@cloudlet/drivers/fake';
import { machineMs } from './hollow-messages.ts';

/** One instance after a change of it. */
export interface PlatformRecord {
  readonly at: number;
  readonly id: string;
  /** Absent: it is gone. */
  readonly instance?: FakeInstance;
}

export interface PlatformJournal {
  /** What runs according to the file. */
  readonly before: readonly FakeInstance[];
  /** Writes down each change from now on. */
  follow(platform: FakePlatform): void;
}

export function openPlatformJournal(file: string): PlatformJournal {
  const before = new Map<string, FakeInstance>();
  const { records, length } = readPlatformJournal(file);
  for (const { id, instance } of records)
    if (instance) before.set(id, instance);
    else before.delete(id);
  // A line that was cut off must not join the next one.
  if (existsSync(file) && readFileSync(file).length > length) appendFileSync(file, '\n');
  return {
    before: [...before.values()],
    follow(platform) {
      platform.onChange((id) => {
        if (id === undefined) return;
        const found = platform.instances.get(id);
        const record: PlatformRecord = {
          ...{ at: machineMs(), id },
          ...(found && { instance: withoutTimers(found) }),
        };
        appendFileSync(file, `${JSON.stringify(record)}\n`);
      });
    },
  };
}

/** As it can be told to others. */
export const withoutTimers = (instance: FakeInstance): FakeInstance => ({
  ...instance,
  tasks: instance.tasks.map(({ timer: _, ...task }) => task),
});

/** The whole lines from a byte on, and the byte behind them. */
export function readPlatformJournal(
  file: string,
  from = 0,
): { readonly records: readonly PlatformRecord[]; readonly length: number } {
  if (!existsSync(file)) return { records: [], length: from };
  const bytes = readFileSync(file).subarray(from);
  const end = bytes.lastIndexOf(0x0a) + 1;
  const lines = bytes.subarray(0, end).toString().split('\n');
  return { records: lines.flatMap(recordOf), length: from + end };
}

function recordOf(line: string): readonly PlatformRecord[] {
  try {
    return [JSON.parse(line) as PlatformRecord];
  } catch {
    return []; // empty, or cut off by the end of its process
  }
}
